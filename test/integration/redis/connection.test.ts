import { connectRedis, type RedisClient, type RedisRole } from '../../../src/redis/connection.ts';
import { assertRedisUsable } from '../../../src/redis/usable.ts';
import { eventually } from '../../support/eventually.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { TIME_LIMIT_MS } from '../../support/time-limit.ts';

let redis: TestRedis;
let clients: RedisClient[];
let errors: Error[];

beforeAll(async () => {
  redis = await startTestRedis({ appendOnly: true });
});

afterAll(() => redis.stop());

beforeEach(() => {
  clients = [];
  errors = [];
});

afterEach(() => {
  for (const client of clients) client.disconnect();
});

function connectHere(role: RedisRole, url = redis.url): RedisClient {
  const client = connectRedis(url, role, { onError: (error) => errors.push(error), name: `test-${role}` });
  clients.push(client);
  return client;
}

async function readyClient(role: RedisRole, url = redis.url): Promise<RedisClient> {
  const client = connectHere(role, url);
  await assertRedisUsable(client, url, { warn: (sentence) => errors.push(new Error(sentence)) });
  return client;
}

describe('a connection', () => {
  it('a connection uses the database and the credentials of its URL', async () => {
    const admin = await readyClient('fail-fast');
    await admin.call('ACL', 'SETUSER', 'worker', 'on', '>p@ss', '~*', '&*', '+@all');
    const url = `redis://worker:p%40ss@127.0.0.1:${redis.port}/3`;
    const client = await readyClient('fail-fast', url);
    expect(await client.call('ACL', 'WHOAMI')).toBe('worker');
    expect(await client.call('CLIENT', 'INFO')).toMatch(/name=test-fail-fast .*db=3 /);
    await admin.call('ACL', 'DELUSER', 'worker');
  });

  it('a connection to a rediss URL speaks TLS and fails at a server without TLS', async () => {
    connectHere('fail-fast', redis.url.replace('redis:', 'rediss:'));
    // The connection waits 2 s for a handshake that never ends.
    await eventually(() => expect(errors).not.toHaveLength(0), 2 * TIME_LIMIT_MS);
    expect(clients[0]?.status).not.toBe('ready');
  });
});

describe('while Redis is down', () => {
  beforeEach(() => redis.restart());

  it('a fail-fast connection refuses commands at once, and works again when Redis is back', async () => {
    const client = await readyClient('fail-fast');
    await redis.kill('SIGKILL');
    await eventually(() => expect(client.status).not.toBe('ready'));
    await expect(client.set('key', 'lost')).rejects.toThrow(/isn't writeable/);
    await redis.restart();
    await eventually(async () => expect(await client.set('key', 'kept')).toBe('OK'));
  });

  it('a patient connection keeps commands until Redis is back', async () => {
    const client = await readyClient('patient');
    await redis.kill('SIGKILL');
    const answer = client.set('key', 'kept');
    await redis.restart();
    expect(await answer).toBe('OK');
  });

  it('the error listener is called at most once per second', async () => {
    const client = await readyClient('fail-fast');
    let failures = 0;
    client.on('error', () => {
      failures += 1;
    });
    await redis.kill('SIGKILL');
    await eventually(() => expect(failures).toBeGreaterThanOrEqual(4));
    expect(errors.length).toBeGreaterThanOrEqual(1);
    expect(errors.length).toBeLessThan(failures);
    expect(errors[0]?.message).toContain('ECONNREFUSED');
  });

  it('a fail-fast connection gives up a frozen server after 2 seconds', async () => {
    const client = await readyClient('fail-fast');
    await redis.kill('SIGSTOP');
    try {
      await expect(client.set('key', 'late')).rejects.toThrow('Command timed out');
    } finally {
      await redis.kill('SIGCONT');
    }
  });
});
