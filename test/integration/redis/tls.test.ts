import { O3Client } from '../../../src/client/o3-client.ts';
import { createCliProcesses } from '../../support/process/cli-process.ts';
import { CERTIFICATE, startTlsRedis, type TlsRedis } from '../../support/redis/tls-redis.ts';

/** Real servers that speak TLS only, and real processes: Node reads NODE_EXTRA_CA_CERTS at its start. */

const cli = createCliProcesses();
let servers: TlsRedis[];
beforeEach(() => {
  servers = [];
});
afterEach(async () => {
  await cli.end();
  await Promise.all(servers.map((redis) => redis.stop()));
});

async function startRedis(kind: Parameters<typeof startTlsRedis>[0]): Promise<TlsRedis> {
  const redis = await startTlsRedis(kind);
  servers.push(redis);
  return redis;
}

it.each(['single', 'sentinel', 'cluster'] as const)(
  'an instance answers a job over TLS when its Redis is a %s',
  async (kind) => {
    const { url: redisUrl } = await startRedis(kind);
    const instance = await cli.start(['start'], {
      REDIS_URL: redisUrl,
      NODE_EXTRA_CA_CERTS: CERTIFICATE,
      PORT: '0',
    });
    const url = await instance.says(/^o3-queue ready on (http:\S+)$/m);
    // The client asks again when the first connection takes longer than a call waits.
    const client = new O3Client({ url });
    const { id } = await client.enqueue({ question: 'Over TLS?' });
    expect(await client.wait(id)).toMatchObject({ status: 'completed' });
  },
);

it('a process does not trust the certificate of an unknown authority', async () => {
  const kinds = ['single', 'sentinel', 'cluster'] as const;
  const exits = await Promise.all(
    kinds.map(async (kind) => {
      const { url } = await startRedis(kind);
      const producer = await cli.start(['producer'], { REDIS_URL: url, PORT: '0' });
      return producer.exited;
    }),
  );
  // ioredis keeps the reason to itself when it is about a node of a cluster.
  const remedy = /self-signed certificate.*its path into NODE_EXTRA_CA_CERTS/;
  const reasons = [remedy, remedy, /cannot be used/];
  expect(exits).toMatchObject(reasons.map((reason) => ({ code: 1, stderr: expect.stringMatching(reason) })));
});
