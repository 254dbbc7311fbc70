import { setTimeout as sleep } from 'node:timers/promises';
import type { WatchEvent } from '../../src/events/watch.ts';
import { stringifyExact } from '../../src/job/exact-json.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import type { JobView } from '../../src/job/view.ts';
import type { TenantQueue } from '../../src/queue/tenant-queue.ts';
import type { Reply } from '../http/route.ts';
import type { Asking } from './door.ts';
import { throughOutages } from './retry-through-outage.ts';

const LOOK_AGAIN_MS = 1000;
/**
 * The longest time that a timer can wait, in milliseconds. A wait has no real limit: it ends when the client
 * disconnects.
 */
const LONG_MS = 2_147_483_647;

export interface HoldOptions {
  queue: TenantQueue;
  /** Aborts when the client has disconnected. */
  signal: AbortSignal;
  /** See Door. */
  headersMs: number;
  /** Called when the connection is about to be cut, because the answer cannot be sent. */
  onCut: () => void;
}

/** heldReply keeps the connection open until the job has ended, with no time limit. */
export async function heldReply(
  id: string,
  asking: Asking,
  { queue, signal, headersMs, onCut }: HoldOptions,
): Promise<Reply> {
  const inspect = () => throughOutages(() => queue.inspect(id), signal);
  const finished = untilFinished(id, queue, signal);
  if ((await Promise.race([finished, sleep(headersMs, undefined, { signal })])) !== undefined) {
    const ended = await inspect();
    asking.refuse(ended);
    return { status: 200, body: asking.whole(ended) };
  }
  async function* late(): AsyncGenerator<string> {
    await finished;
    const ended = await inspect();
    let body: object;
    try {
      body = asking.whole(ended);
    } catch (error: unknown) {
      onCut();
      throw error;
    }
    yield stringifyExact(body);
  }
  // JSON may begin with any number of spaces, so spaces keep the connection alive.
  return { status: 200, stream: { contentType: 'application/json', keepAlive: ' ', chunks: late() } };
}

/**
 * withFirstWord waits up to `firstWordMs` for the first event of the answer or for the end, so that a refusal
 * can still become an HTTP error.
 * @returns all events from the beginning, and whether the first one was the end.
 */
export async function withFirstWord(
  seen: AsyncGenerator<WatchEvent>,
  firstWordMs: number,
): Promise<{ seen: AsyncGenerator<WatchEvent>; endedAtOnce: boolean }> {
  const before: WatchEvent[] = [];
  const timer = new AbortController();
  const timeUp = sleep(firstWordMs, 'time is up' as const, { signal: timer.signal }).catch(
    () => 'time is up' as const,
  );
  let next = seen.next();
  let endedAtOnce = false;
  for (;;) {
    const first = await Promise.race([next, timeUp]);
    if (first === 'time is up' || first.done) break;
    before.push(first.value);
    next = seen.next();
    endedAtOnce = first.value.kind === 'end';
    if (first.value.kind !== 'status') break;
  }
  timer.abort();
  async function* all(): AsyncGenerator<WatchEvent> {
    try {
      yield* before;
      for (let each = await next; !each.done; each = await seen.next()) yield each.value;
    } finally {
      await seen.return(undefined);
    }
  }
  return { seen: all(), endedAtOnce };
}

async function untilFinished(id: string, queue: TenantQueue, signal: AbortSignal): Promise<JobView> {
  for (;;) {
    const job = await throughOutages(() => queue.wait(id, { timeoutMs: LONG_MS, signal }), signal);
    if (isFinishedJob(job)) return job;
    // The wait ended early because this process is stopping. The process closes the connection in a moment.
    await sleep(LOOK_AGAIN_MS, undefined, { signal });
  }
}
