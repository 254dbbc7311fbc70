import type { Cluster, Redis } from 'ioredis';
import { connectRedis, type RedisClient, type RedisRole } from '../../../src/redis/connection.ts';
import { eventually } from '../../support/eventually.ts';
import { type ClusterNode, startTestCluster, type TestCluster } from '../../support/redis/redis-cluster.ts';

/** The replica is promoted about two seconds after its master hangs; the rest is for a busy machine. */
const LIMIT_MS = 60_000;
/** Its slot, 3300, belongs to the first master, which has a replica. */
const KEY = 'b';

let cluster: TestCluster;
let clients: RedisClient[];
let errors: string[];

beforeEach(async () => {
  cluster = await startTestCluster({ masters: 3 });
  clients = [];
  errors = [];
}, 180_000);
afterEach(async () => {
  for (const client of clients) client.disconnect();
  for (const node of cluster.nodes) node.kill('SIGCONT');
  await cluster.stop();
});

async function connected(role: RedisRole, listens = false): Promise<RedisClient> {
  const client = connectRedis(cluster.url, role, {
    onError: ({ message }) => errors.push(message),
    listens,
  });
  clients.push(client);
  await eventually(async () => expect(await client.set(KEY, 'before')).toBe('OK'));
  return client;
}

it.each<RedisRole>(['fail-fast', 'patient'])(
  'a %s connection reaches the new master of a cluster when the old one hangs',
  async (role) => {
    const client = await connected(role);
    cluster.nodes[0]?.kill('SIGSTOP');
    await eventually(async () => expect(await client.set(KEY, 'after')).toBe('OK'), LIMIT_MS);
    expect(await cluster.nodes[3]?.admin.get(KEY)).toBe('after');
  },
);

it('a patient connection loses no command of all that it is given while a master is killed', async () => {
  const client = await connected('patient');
  const answers: Promise<unknown>[] = [];
  const failures: string[] = [];
  const writing = setInterval(() => {
    const answer = client.set(KEY, 'written').catch(({ message }: Error) => failures.push(message));
    answers.push(answer);
  }, 5);
  cluster.nodes[0]?.kill('SIGKILL');
  await eventually(
    async () => expect(await cluster.nodes[3]?.admin.info('replication')).toContain('role:master'),
    LIMIT_MS,
  );
  await client.set(KEY, 'after');
  await eventually(() => expect(answers.length).toBeGreaterThan(50));
  clearInterval(writing);
  await Promise.all(answers);
  expect(failures).toEqual([]);
});

it("a copy's connect() resolves when a later try succeeds, as BullMQ expects after a failover", async () => {
  const client = await connected('patient');
  const copy = (client as Cluster).duplicate();
  clients.push(copy);
  copy.on('error', () => {});
  await eventually(() => expect(copy.status).toBe('ready'));
  const [killed, , , replica] = cluster.nodes;
  replica?.kill('SIGSTOP');
  killed?.kill('SIGKILL');
  await eventually(
    async () => expect(await cluster.nodes[1]?.admin.call('CLUSTER', 'INFO')).toContain('cluster_state:fail'),
    LIMIT_MS,
  );
  const ended = new Promise((resolve) => copy.once('end', resolve));
  copy.disconnect();
  await ended;
  const firstTryFailed = new Promise((resolve) => copy.once('reconnecting', resolve));
  const connecting = copy.connect();
  await firstTryFailed;
  replica?.kill('SIGCONT');
  await connecting;
  expect(copy.status).toBe('ready');
}, 180_000);

it('a connection that listens leaves a node of a cluster that hangs', async () => {
  const { node, heard } = await listenerOnAnUnusedNode();
  node.kill('SIGSTOP');
  try {
    await eventually(async () => {
      await cluster.nodes[0]?.admin.publish('news', 'after');
      expect({ heard, errors }).toMatchObject({ heard: expect.arrayContaining(['after']) });
    }, LIMIT_MS);
  } finally {
    node.kill('SIGCONT');
  }
});

it('a connection that listens gets its channels back when its node has forgotten them', async () => {
  const { client, heard } = await listenerOnAnUnusedNode();
  const { subscriber } = client as unknown as { subscriber: { getInstance(): Redis } };
  await subscriber.getInstance().unsubscribe('news');
  await eventually(async () => {
    await cluster.nodes[0]?.admin.publish('news', 'after');
    expect({ heard, errors }).toEqual({ heard: expect.arrayContaining(['after']), errors: [] });
  });
});

/** A client listens on a random node. On one that it sends no commands to, only its subscription can hang. */
async function listenerOnAnUnusedNode(): Promise<{
  client: RedisClient;
  node: ClusterNode;
  heard: string[];
}> {
  for (;;) {
    const client = await connected('patient', true);
    const heard: string[] = [];
    client.on('message', (_channel: string, message: string) => heard.push(message));
    await client.subscribe('news');
    for (const node of cluster.nodes.slice(1)) {
      const [, count] = await node.admin.pubsub('NUMSUB', 'news');
      if (Number(count) > 0) return { client, node, heard };
    }
    client.disconnect();
  }
}
