import { Redis } from 'ioredis';
import { connectRedis, type RedisClient, type RedisRole } from '../../../src/redis/connection.ts';
import { eventually } from '../../support/eventually.ts';
import { startTestSentinels, type TestSentinels } from '../../support/redis/sentinels.ts';

/** The replica is promoted about two seconds after its master hangs; the rest is for a busy machine. */
const LIMIT_MS = 30_000;

let sentinels: TestSentinels;
let clients: RedisClient[];

beforeEach(async () => {
  sentinels = await startTestSentinels();
  clients = [];
}, 60_000);
afterEach(async () => {
  for (const client of clients) client.disconnect();
  await sentinels.stop();
});

async function connected(role: RedisRole): Promise<RedisClient> {
  const client = connectRedis(sentinels.url, role, { onError: () => {} });
  clients.push(client);
  await eventually(() => expect(client.status).toBe('ready'), LIMIT_MS);
  return client;
}

it('connections leave a master that hangs, and write nothing to it after its thaw', async () => {
  const patient = await connected('patient');
  const failFast = await connected('fail-fast');
  await patient.set('key', 'before');
  await sentinels.master.kill('SIGSTOP');
  await eventually(
    async () => expect(await sentinels.replicaAdmin.info('replication')).toContain('role:master'),
    LIMIT_MS,
  );
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

it.each<RedisRole>(['fail-fast', 'patient'])(
  'a %s connection reaches the master when the first sentinel of its URL hangs',
  async (role) => {
    sentinels.killFirstSentinel('SIGSTOP');
    const client = await connected(role);
    expect(await client.set('key', 'written')).toBe('OK');
  },
);
