import { Redis } from 'ioredis';
import { connectRedis, type RedisClient, type RedisRole } from '../../../src/redis/connection.ts';
import { eventually } from '../../support/eventually.ts';
import { startTestSentinels, type TestSentinels } from '../../support/redis/sentinels.ts';

/** The replica is promoted about two seconds after its master hangs; the rest is for a busy machine. */
const LIMIT_MS = 60_000;

const ROLES: readonly RedisRole[] = ['fail-fast', 'patient'];

let sentinels: TestSentinels;
let clients: RedisClient[];

async function start(options: Parameters<typeof startTestSentinels>[0] = {}): Promise<void> {
  clients = [];
  sentinels = await startTestSentinels(options);
}
afterEach(async () => {
  for (const client of clients) client.disconnect();
  await sentinels.stop();
});

function connect(role: RedisRole): RedisClient {
  const client = connectRedis(sentinels.url, role, { onError: () => {} });
  clients.push(client);
  return client;
}
async function connected(role: RedisRole): Promise<RedisClient> {
  const client = connect(role);
  await eventually(() => expect(client.status).toBe('ready'), LIMIT_MS);
  return client;
}
/** Waits until the replica has been promoted. */
async function promoted(): Promise<void> {
  await eventually(
    async () => expect(await sentinels.replicaAdmin.info('replication')).toContain('role:master'),
    LIMIT_MS,
  );
}

it('connections leave a master that hangs, and write nothing to it after its thaw', async () => {
  await start();
  const patient = await connected('patient');
  const failFast = await connected('fail-fast');
  await patient.set('key', 'before');
  await sentinels.master.kill('SIGSTOP');
  await promoted();
  const answers = [patient, failFast].map((client, i) =>
    eventually(async () => expect(await client.set(`key-${i}`, 'after')).toBe('OK'), LIMIT_MS),
  );
  await Promise.all(answers);
  await sentinels.master.kill('SIGCONT');
  const old = new Redis(sentinels.master.url);
  clients.push(old);
  for (let i = 0; i < 100; i += 1) {
    expect(await patient.set(`later-${i}`, 'after')).toBe('OK');
    expect(await failFast.set(`later-${i}`, 'after')).toBe('OK');
  }
  const later = Array.from({ length: 100 }, (_, i) => `later-${i}`);
  expect(await sentinels.replicaAdmin.exists('key-0', 'key-1', ...later)).toBe(102);
  // The thawed master would lose what is written to it, as soon as it is made a replica. It may still carry
  // out what had arrived before it hung, which was written again to the new master.
  expect(await old.exists(...later)).toBe(0);
});

it.each(ROLES)(
  'a %s connection reaches the master when the first sentinel of its URL hangs',
  async (role) => {
    await start();
    sentinels.killFirstSentinel('SIGSTOP');
    const client = await connected(role);
    expect(await client.set('key', 'written')).toBe('OK');
  },
);

describe('an old master that runs again before it is made a replica', () => {
  it.each([
    ['is started again', 'SIGKILL'],
    ['thaws', 'SIGSTOP'],
  ] as const)(
    'gets no connection when it %s, though the first sentinel of the URL still names it',
    async (_what, signal) => {
      await start({ deaf: true });
      await sentinels.master.kill(signal);
      await promoted();
      if (signal === 'SIGKILL') await sentinels.master.restart();
      else await sentinels.master.kill('SIGCONT');
      const [patient, failFast] = [connect('patient'), await connected('fail-fast')];
      expect(
        await Promise.all([patient.set('patient', 'after'), failFast.set('fail-fast', 'after')]),
      ).toEqual(['OK', 'OK']);
      expect(await sentinels.replicaAdmin.exists('patient', 'fail-fast')).toBe(2);
    },
  );

  it('gets no command of a connection that it had accepted before the promotion', async () => {
    await start({ deaf: true });
    await sentinels.master.kill('SIGSTOP');
    const client = connect('patient');
    const answer = client.set('key', 'after');
    await sentinels.failOver();
    await promoted();
    await sentinels.master.kill('SIGCONT');
    expect(await answer).toBe('OK');
    expect(await sentinels.replicaAdmin.get('key')).toBe('after');
  });
});

it.each(ROLES)('a %s connection loses no accepted write when the sentinels move the master', async (role) => {
  await start();
  const client = await connected(role);
  const accepted: string[] = [];
  const writes: Promise<unknown>[] = [];
  let next = 0;
  const writing = setInterval(() => {
    const key = `key-${next}`;
    next += 1;
    const written = client.set(key, 'written').then(
      () => accepted.push(key),
      () => undefined,
    );
    writes.push(written);
  }, 5);
  await eventually(() => expect(accepted.length).toBeGreaterThan(50));
  await sentinels.failOver();
  await promoted();
  const before = accepted.length;
  await eventually(() => expect(accepted.length).toBeGreaterThan(before + 50), LIMIT_MS);
  clearInterval(writing);
  await Promise.all(writes);
  const kept = await sentinels.replicaAdmin.exists(...accepted);
  expect(kept).toBe(accepted.length);
});
