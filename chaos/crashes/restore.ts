import { cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../../src/async/sleep.ts';
import { O3ClientError } from '../../src/client/client-error.ts';
import type { JobStatus } from '../../src/job/job.ts';
import { connectRedis } from '../../src/redis/connection.ts';
import { purchasesByJob, readLedger } from '../evidence/ledger.ts';
import { exactly, figure, joined, type Report, type Requirement } from '../evidence/report.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Stage } from '../fleet/stage.ts';
import { becomes, inParallel } from '../fleet/timing.ts';
import { scenario } from '../scenario.ts';

/** BACKUPS are the two kinds of backup: a copy of the append-only files, and a snapshot (RDB). */
export const BACKUPS = ['aof', 'rdb'] as const;
export type BackupKind = (typeof BACKUPS)[number];

/** Group is some jobs with one fate. The groups are enqueued in this order. */
interface Group {
  readonly name: string;
  readonly count: number;
  /** The status at the moment of the backup. */
  readonly status: JobStatus;
  readonly request: { metadata?: Record<string, string>; delay_ms?: number };
}

const RUNNING = 12;
const WAITING = 10;
const SINCE = 8;
const think = (ms: number): Record<string, string> => ({ sim_think_ms: String(ms), sim_deltas: '2' });

/** The fifty jobs of the backup. The running ones fill the model, so that the waiting ones wait for a slot. */
const GROUPS: readonly Group[] = [
  { name: 'completed', count: 15, status: 'completed', request: { metadata: think(50) } },
  { name: 'failed', count: 4, status: 'failed', request: { metadata: { sim: '400' } } },
  { name: 'cancelled', count: 3, status: 'cancelled', request: { metadata: think(600_000) } },
  { name: 'running', count: RUNNING, status: 'active', request: { metadata: think(25_000) } },
  { name: 'waiting', count: WAITING, status: 'waiting', request: { metadata: think(50) } },
  {
    name: 'delayed',
    count: 6,
    status: 'delayed',
    request: { metadata: think(50), delay_ms: 3_600_000 },
  },
];
const LIMIT_MS = 120_000;
const CALLERS = 10;

/** runRestore plays each kind of backup on a fleet of its own. */
export async function runRestore(stage: Stage, kinds: readonly BackupKind[]): Promise<Report> {
  const reports: Report[] = [];
  for (const kind of kinds) reports.push(await restoreWith(kind)(stage));
  return joined(reports);
}

/**
 * Backs Redis up with fifty jobs in every state, lets the fleet go on, accepts more jobs, restores the backup,
 * and counts what was lost and what was bought again.
 */
const restoreWith = (kind: BackupKind) =>
  scenario({ workers: 2, config: { models: { o3: { maxInFlight: RUNNING } } } }, async (world) => {
    const { fleet, signal, progress, say } = world;
    const idsOf = new Map<string, string[]>();
    for (const group of GROUPS) {
      progress(`${kind}: enqueueing`);
      const ids = await enqueueAll(fleet, group);
      idsOf.set(group.name, ids);
      if (group.name === 'cancelled') await Promise.all(ids.map((id) => fleet.client.cancel(id)));
      await inStatus(fleet, ids, group.status, signal);
    }
    await bought(fleet, 'running', RUNNING, signal);
    await backUp(fleet, kind);
    say(`${kind}: backed up`);

    const later = await enqueueAll(fleet, { name: 'since', count: SINCE, status: 'waiting', request: {} });
    const answered = [...(idsOf.get('running') ?? []), ...(idsOf.get('waiting') ?? []), ...later];
    await inStatus(fleet, answered, 'completed', signal);
    const before = purchasesByJob(await readLedger(fleet.upstreamUrl));
    const spentBefore = await spent(fleet);

    for (const worker of [...fleet.workers]) await fleet.stopWorker(worker);
    await fleet.redis.kill();
    await putBack(fleet, kind);
    await fleet.redis.restart();
    await fleet.replaceProducer();
    say(`${kind}: restored; no worker runs`);
    const found = await statuses(fleet);
    const spentAfter = await spent(fleet);
    const untouched = purchasesByJob(await readLedger(fleet.upstreamUrl));

    await fleet.addWorker();
    await inStatus(fleet, answered.slice(0, RUNNING + WAITING), 'completed', signal);
    const after = purchasesByJob(await readLedger(fleet.upstreamUrl));
    const again = (name: string): number => count(after, name) - count(before, name);
    const gone = await Promise.all(later.map((id) => isGone(fleet, id)));
    return {
      requirements: [
        figure(`${kind}: jobs in the restored list`, found),
        exactly(`${kind}: bought while no worker ran`, 0, total(untouched) - total(before)),
        ...['completed', 'failed', 'cancelled', 'running', 'delayed'].map((name) =>
          exactly(`${kind}: ${name} at the backup, bought again`, 0, again(name)),
        ),
        exactly(`${kind}: waiting at the backup, answered since, bought again`, WAITING, again('waiting')),
        exactly(`${kind}: accepted since, lost`, SINCE, gone.filter(Boolean).length),
        figure(`${kind}: requests in /usage before and after`, `${spentBefore}, ${spentAfter}`),
      ] satisfies Requirement[],
    };
  });

/** Enqueues the jobs of a group in order, and returns their ids. */
async function enqueueAll({ client }: Fleet, { name, count: size, request }: Group): Promise<string[]> {
  const ids: string[] = [];
  await inParallel(
    Array.from({ length: size }, (_, index) => index),
    CALLERS,
    async (index) => {
      const { id } = await client.enqueue({ ...request, question: `${name} ${index}` });
      ids[index] = id;
    },
  );
  return ids;
}

async function inStatus(
  { client }: Fleet,
  ids: readonly string[],
  status: JobStatus,
  signal: AbortSignal,
): Promise<void> {
  const isSo = async (): Promise<boolean> => {
    const views = await Promise.all(ids.map((id) => client.get(id)));
    return views.every((view) => view.status === status);
  };
  if (!(await becomes(isSo, LIMIT_MS, signal, 200)))
    throw new Error(`expected ${ids.length} jobs to be ${status}`);
}

/** Waits until all jobs of a group are bought, and a moment more, in which their ids are stored. */
async function bought(fleet: Fleet, name: string, size: number, signal: AbortSignal): Promise<void> {
  const all = async (): Promise<boolean> =>
    count(purchasesByJob(await readLedger(fleet.upstreamUrl)), name) === size;
  if (!(await becomes(all, LIMIT_MS, signal))) throw new Error(`expected ${size} purchases of ${name}`);
  await sleep(1000, signal);
}

type Purchases = ReturnType<typeof purchasesByJob>;
const count = (purchases: Purchases, name: string): number => purchases.get(name)?.length ?? 0;
const total = (purchases: Purchases): number =>
  [...purchases.values()].reduce((sum, entries) => sum + entries.length, 0);

async function statuses({ client }: Fleet): Promise<string> {
  const counts = new Map<string, number>();
  for await (const { status } of client.jobs()) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts]
    .map(([status, number]) => `${number} ${status}`)
    .toSorted()
    .join(', ');
}

async function spent({ client }: Fleet): Promise<number> {
  return (await client.usage()).total.requests;
}

async function isGone({ client }: Fleet, id: string): Promise<boolean> {
  try {
    await client.get(id);
    return false;
  } catch (error: unknown) {
    if (error instanceof O3ClientError && error.status === 404) return true;
    throw error;
  }
}

const FILES = 'appendonlydir';
const dataOf = ({ folder }: Fleet): string => join(folder, 'redis');
const backupOf = ({ folder }: Fleet): string => join(folder, 'backup');

/** Does what docs/operating/BACKUP.md says, while everything runs. */
async function backUp(fleet: Fleet, kind: BackupKind): Promise<void> {
  const redis = connectRedis(fleet.redis.url, 'patient', { onError: () => {} });
  const until = async (line: string): Promise<void> => {
    const isSo = async (): Promise<boolean> => (await redis.info('persistence')).includes(line);
    if (!(await becomes(isSo, LIMIT_MS, new AbortController().signal))) throw new Error(`expected ${line}`);
  };
  try {
    await mkdir(backupOf(fleet));
    if (kind === 'rdb') {
      await redis.call('BGSAVE');
      await until('rdb_bgsave_in_progress:0');
      await cp(join(dataOf(fleet), 'dump.rdb'), join(backupOf(fleet), 'dump.rdb'));
      return;
    }
    await redis.call('CONFIG', 'SET', 'auto-aof-rewrite-percentage', '0');
    await until('aof_rewrite_in_progress:0');
    await cp(join(dataOf(fleet), FILES), join(backupOf(fleet), FILES), { recursive: true });
    await redis.call('CONFIG', 'SET', 'auto-aof-rewrite-percentage', '100');
  } finally {
    redis.disconnect();
  }
}

/** Replaces the files of a Redis that does not run. A snapshot becomes the base of new append-only files. */
async function putBack(fleet: Fleet, kind: BackupKind): Promise<void> {
  const files = join(dataOf(fleet), FILES);
  await readdir(files); // Redis 7 or newer: older ones have one file.
  await rm(files, { recursive: true });
  if (kind === 'aof') return void (await cp(join(backupOf(fleet), FILES), files, { recursive: true }));
  await mkdir(files);
  await cp(join(backupOf(fleet), 'dump.rdb'), join(files, 'appendonly.aof.1.base.rdb'));
  await writeFile(join(files, 'appendonly.aof.manifest'), 'file appendonly.aof.1.base.rdb seq 1 type b\n');
}
