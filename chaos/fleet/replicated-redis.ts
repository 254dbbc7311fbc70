import { Redis } from 'ioredis';
import { type ClusterNode, startTestCluster } from '../../test/support/redis/redis-cluster.ts';
import { startTestRedis } from '../../test/support/redis/redis-server.ts';
import { startTestSentinels } from '../../test/support/redis/sentinels.ts';
import { openTcpProxy } from '../../test/support/redis/tcp-proxy.ts';
import type { ChaosRedis } from './redis.ts';
import { becomes } from './timing.ts';

/** ReplicatedRedis is a Redis with a master and a replica. The replica takes the master's place. */
export interface ReplicatedRedis extends ChaosRedis {
  /** A connection to the server that was the first master, whatever its role is now. */
  readonly masterAdmin: Redis;
  /** Resolves when the replica has become a master. @returns when that was, in Unix milliseconds. */
  promoted(signal: AbortSignal): Promise<number>;
}

const PROMOTION_LIMIT_MS = 60_000;
const LOOK_EVERY_MS = 20;
const ANY_SIZE = '0';
const MIGRATE_LIMIT_MS = '5000';
const KEYS_AT_ONCE = '50';

/** SentinelRedis is a replicated Redis with three sentinels. */
export interface SentinelRedis extends ReplicatedRedis {
  /** Stops the process of the sentinel that the URL names first. */
  hangFirstSentinel(): void;
}

export async function startSentinelRedis(): Promise<SentinelRedis> {
  const sentinels = await startTestSentinels({ sentinels: 3, appendOnly: true, downAfterMs: 2000 });
  const masterAdmin = adminOf(sentinels.master.url);
  return {
    url: sentinels.url,
    masterAdmin,
    kill: () => sentinels.master.kill('SIGKILL'),
    restart: () => sentinels.master.restart(),
    signal: (signal) => void process.kill(sentinels.master.pid, signal),
    promoted: (signal) => promoted(sentinels.replicaAdmin, signal),
    hangFirstSentinel: () => sentinels.killFirstSentinel('SIGSTOP'),
    async stop() {
      masterAdmin.disconnect();
      await sentinels.stop();
    },
  };
}

/** NamedRedis is a managed Redis: one name, which leads to the replica after a failover. */
export interface NamedRedis extends ReplicatedRedis {
  /** Promotes the replica. The old master goes on as its replica, and keeps its connections. */
  failOver(): Promise<void>;
}

export async function startNamedRedis(): Promise<NamedRedis> {
  const options = { appendOnly: true };
  const [master, replica] = await Promise.all([startTestRedis(options), startTestRedis(options)]);
  const name = await openTcpProxy(master.url);
  const [masterAdmin, replicaAdmin] = [adminOf(master.url), adminOf(replica.url)];
  await masterAdmin.config('SET', 'repl-diskless-sync-delay', '0');
  await replicaAdmin.call('REPLICAOF', '127.0.0.1', String(master.port));
  const isLinked = async (): Promise<boolean> =>
    (await replicaAdmin.info('replication')).includes('master_link_status:up');
  if (!(await becomes(isLinked, PROMOTION_LIMIT_MS, new AbortController().signal))) {
    throw new Error('the replica did not reach its master');
  }
  return {
    url: name.url,
    masterAdmin,
    kill: () => master.kill('SIGKILL'),
    restart: () => master.restart(),
    signal: (signal) => void process.kill(master.pid, signal),
    promoted: (signal) => promoted(replicaAdmin, signal),
    async failOver() {
      // The master takes no more writes, waits until its replica has them all, and changes places with it.
      // Writes between two calls of REPLICAOF would be lost, and on a busy machine there are some.
      await masterAdmin.call('FAILOVER');
      await promoted(replicaAdmin, new AbortController().signal);
      name.leadTo(replica.url);
    },
    async stop() {
      masterAdmin.disconnect();
      replicaAdmin.disconnect();
      await name.close();
      await Promise.all([master.stop(), replica.stop()]);
    },
  };
}

/** ClusterRedis is a Redis Cluster of three masters, of which the one with the jobs has a replica. */
export interface ClusterRedis extends ReplicatedRedis {
  /** Moves the slots of the models from the master with the jobs to another one, key by key. */
  moveSlots(): Promise<void>;
}

/** @param models the models whose keys must lie on one master. */
export async function startClusterRedis(models: readonly string[]): Promise<ClusterRedis> {
  // The slots of the models decide which master has their keys. Each of the three masters has a third of all
  // slots.
  const cluster = await startTestCluster({ masters: 3, replicated: MASTER_OF_MODELS });
  const [, master, other, replica] = cluster.nodes;
  if (master === undefined || other === undefined || replica === undefined) {
    throw new Error('expected three masters and a replica');
  }
  const slots = await Promise.all(models.map((model) => slotOf(master, model)));
  return {
    url: cluster.url,
    masterAdmin: master.admin,
    async kill() {
      master.kill('SIGKILL');
    },
    restart: () => master.restart(),
    signal: (signal) => master.kill(signal),
    promoted: (signal) => promoted(replica.admin, signal),
    async moveSlots() {
      for (const slot of slots) await moveSlot(slot, master, other, cluster.nodes);
    },
    async stop() {
      master.kill('SIGCONT');
      await cluster.stop();
    },
  };
}

/**
 * The index of the master of both models. Their slots, 7460 and 6481, belong to the second of the three
 * masters.
 */
const MASTER_OF_MODELS = 1;

/** Returns the slot of a model's keys. It throws when this master does not have the slot. */
async function slotOf({ admin }: ClusterNode, model: string): Promise<string> {
  // A node answers MOVED for a slot of another node.
  await admin.exists(`{${model}}`);
  return String(await admin.call('CLUSTER', 'KEYSLOT', model));
}

async function moveSlot(
  slot: string,
  from: ClusterNode,
  to: ClusterNode,
  all: readonly ClusterNode[],
): Promise<void> {
  const [fromId, toId] = await Promise.all(
    [from, to].map(async ({ admin }) => String(await admin.call('CLUSTER', 'MYID'))),
  );
  if (fromId === undefined || toId === undefined) throw new Error('expected two nodes');
  await to.admin.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId);
  await from.admin.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId);
  for (;;) {
    const keys = (await from.admin.call('CLUSTER', 'GETKEYSINSLOT', slot, KEYS_AT_ONCE)) as string[];
    if (keys.length === 0) break;
    const target = ['127.0.0.1', String(to.port), '', ANY_SIZE, MIGRATE_LIMIT_MS];
    await from.admin.call('MIGRATE', ...target, 'KEYS', ...keys);
  }
  for (const { admin } of [to, from, ...all]) {
    await admin.call('CLUSTER', 'SETSLOT', slot, 'NODE', toId).catch((error: Error) => {
      // A replica refuses the command. It learns the new owner of the slot from its master.
      if (!/only with masters/.test(error.message)) throw error;
    });
  }
}

async function promoted(replica: Redis, signal: AbortSignal): Promise<number> {
  const isMaster = async (): Promise<boolean> => (await replica.info('replication')).includes('role:master');
  if (await becomes(isMaster, PROMOTION_LIMIT_MS, signal, LOOK_EVERY_MS)) return Date.now();
  throw new Error('the replica was not promoted');
}

function adminOf(url: string): Redis {
  const admin = new Redis(url, { maxRetriesPerRequest: null });
  admin.on('error', () => {});
  return admin;
}
