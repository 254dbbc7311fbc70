import { randomUUID } from 'node:crypto';
import { sleep } from '../async/sleep.ts';
import { QueueError } from '../errors/problem.ts';
import { tenantInView } from '../job/tenant.ts';
import { touchJob } from '../job-store/actions.ts';
import type { IndexEntry } from '../job-store/index-sets.ts';
import { search } from '../job-store/search.ts';
import {
  endActionPart,
  type LeaseAnswer,
  leaseActionPart,
  passJobScript,
} from '../lua/selections/actions.ts';
import { iso } from '../model-queue/job-view.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import { serverTime } from '../redis/server-time.ts';
import { outsideTraces } from '../tracing/span-context.ts';
import { actionKeysOf } from './keys.ts';
import { isSelected } from './selection.ts';
import { type ActionAccess, FAILED, finishAction, readAction, type StoredAction } from './store.ts';

/**
 * How many jobs the actions of one process touch in a second together, at most: about a tenth of what Redis can
 * do. The actions that this process drives share them evenly.
 */
export const JOBS_PER_SECOND = 500;
/**
 * How long a process is lent an action, and how often it renews that (ms). Until then a wish to stop waits.
 */
const LEASE_MS = 5000;
const RENEW_MS = 500;
/** How often a process looks for actions whose process has died, in milliseconds. */
const LOOK_EVERY_MS = 2500;

/** ActionRunner drives the actions of all processes from this one. */
export interface ActionRunner {
  /** Looks for actions that no process drives, and drives them. */
  look(): Promise<void>;
  /** Stops driving. Another process goes on. */
  stop(): void;
}

export interface ActionRunnerOptions {
  readonly onError: (error: Error) => void;
  /** Called when an action has ended, by the process that has ended it. */
  readonly onEnd?: (action: StoredAction, status: 'done' | 'stopped') => void;
  /** Default 500. */
  readonly jobsPerSecond?: number;
}

/**
 * createActionRunner drives actions: it walks the jobs of their selections and changes each. Every producer
 * and every worker has a runner. An action is lent to one of them at a time, in one model after the other.
 */
export function createActionRunner(
  access: ActionAccess,
  { onError, onEnd = () => {}, jobsPerSecond = JOBS_PER_SECOND }: ActionRunnerOptions,
): ActionRunner {
  const stopping = new AbortController();
  const { signal } = stopping;
  const driven = new Set<string>();
  const report = (error: Error): void => {
    if (!signal.aborted) onError(error);
  };
  const drive = async (id: string): Promise<void> => {
    if (driven.has(id) || signal.aborted) return;
    driven.add(id);
    try {
      const ended = await driveAction(access, id, () => jobsPerSecond / driven.size, signal);
      if (ended !== undefined && (await finishAction(access, id, ended.status)))
        onEnd(ended.action, ended.status);
    } finally {
      driven.delete(id);
    }
  };
  const lookNow = async (): Promise<void> => {
    // At the start of a process its connection is still being made; the next look comes soon.
    if (access.redis.status !== 'ready') return;
    try {
      const ids = await access.redis.zrange(actionKeysOf(access.prefix).open, '0', '-1');
      for (const id of ids) drive(id).catch(report);
    } catch (error: unknown) {
      report(error instanceof Error ? error : new Error(String(error)));
    }
  };
  // The call that starts an action has ended long before the action.
  const look = (): Promise<void> => outsideTraces(lookNow);
  const timer = setInterval(() => void look(), LOOK_EVERY_MS);
  return {
    look,
    stop() {
      clearInterval(timer);
      stopping.abort();
    },
  };
}

/**
 * Drives an action until it has ended, or until another process drives it.
 * @returns undefined if it has not ended.
 */
async function driveAction(
  access: ActionAccess,
  id: string,
  jobsPerSecond: () => number,
  signal: AbortSignal,
): Promise<{ action: StoredAction; status: 'done' | 'stopped' } | undefined> {
  const action = await readAction(access, id);
  if (action === undefined) {
    // The hash has expired.
    await access.redis.zrem(actionKeysOf(access.prefix).open, id);
    return undefined;
  }
  if (action.end !== undefined) return { action, status: action.end.status };
  for (const model of action.models) {
    const queue = access.queues.get(model);
    // Another process may have this model in its configuration.
    if (queue === undefined) return undefined;
    const came = await drivePart(access, action, queue, jobsPerSecond, signal);
    if (came === 'left') return undefined;
    if (came === 'stopped') return { action, status: 'stopped' };
  }
  return { action, status: 'done' };
}

/**
 * Drives an action in one model. `left`: another process drives it, or this one stops. The place in the part
 * is written by each step itself, so a crash between any two lines leaves a part that another process goes on
 * with.
 */
async function drivePart(
  access: ActionAccess,
  action: StoredAction,
  queue: ModelQueue,
  jobsPerSecond: () => number,
  signal: AbortSignal,
): Promise<'ended' | 'left' | 'stopped'> {
  const { redis } = access;
  const token = randomUUID();
  const part = queue.keys.actionPart(action.id);
  const lease = async (forMs = LEASE_MS): Promise<LeaseAnswer> => {
    const now = serverTime(redis);
    return (await leaseActionPart.run(redis, {
      keys: { part },
      args: { token, now, leaseUntil: now + forMs },
    })) as LeaseAnswer;
  };
  const [lent, created, lastId] = await lease();
  if (lent !== 'leased') return lent === 'ended' ? 'ended' : 'left';
  const step = { access, action, queue, part, token };
  let renewAt = performance.now();
  let nextAt = performance.now();
  const after: IndexEntry | undefined =
    created === undefined || lastId === undefined
      ? undefined
      : { model: queue.model, id: lastId, createdAt: Number(created) };
  const filter = { ...action.filter, until: earlier(action.filter.until, action.createdAt + 1) };
  const queues = new Map([[queue.model, queue]]);
  for await (const { found } of search(redis, queues, filter, { after })) {
    for (const { entry } of found) {
      if (signal.aborted) {
        // Another process need not wait for the end of the lease.
        await lease(0);
        return 'left';
      }
      if (performance.now() >= renewAt) {
        if ((await lease())[0] !== 'leased') return 'left';
        if ((await readAction(access, action.id))?.isStopRequested) return 'stopped';
        renewAt = performance.now() + RENEW_MS;
      }
      const answer = await touch(step, entry);
      if (answer === 'fenced') return 'left';
      const everyMs = 1000 / jobsPerSecond();
      nextAt = Math.max(nextAt + everyMs, performance.now() - everyMs);
      if (nextAt > performance.now() + 2) await sleep(nextAt - performance.now());
    }
  }
  const hasEnded = await endActionPart.run(redis, { keys: { part }, args: { token } });
  return hasEnded === 1 ? 'ended' : 'left';
}

interface Step {
  readonly access: ActionAccess;
  readonly action: StoredAction;
  readonly queue: ModelQueue;
  readonly part: string;
  readonly token: string;
}

/** Touches one job and counts its outcome, in one step of Redis. */
async function touch(
  { access, action, queue, part, token }: Step,
  { id, createdAt }: IndexEntry,
): Promise<string> {
  const pass = async (outcome: string): Promise<string> =>
    String(
      await passJobScript.run(access.redis, {
        keys: { part },
        args: { id, actionToken: token, actionCreated: createdAt, outcome },
      }),
    );
  const { kind, filter, createdAt: startedAt } = action;
  const reading = await queue.read(id);
  if (reading === null) return pass('missing');
  // A job whose status is another one by now was found by an index that is wider than the filter.
  if (!isSelected(kind, reading.view, filter)) return 'other';
  const by = tenantInView(action.tenant);
  const within = { action: action.id, by, part, token, createdAt, startedAt, onlyStatus: filter.status };
  try {
    return await touchJob(kind, access, { queue, bullId: id, reading }, within);
  } catch (error: unknown) {
    if (!(error instanceof QueueError) || error.code !== 'too_many_waiting') throw error;
    return pass(`${FAILED}${error.code}`);
  }
}

function earlier(time: string | undefined, milliseconds: number): string {
  const own = iso(milliseconds);
  return time === undefined || Date.parse(time) > milliseconds ? own : time;
}
