import { type Failure, isFailure, RetryableError, TerminalError } from '../src/failure.ts';
import type { Usage } from '../src/job.ts';
import { LockLostError, type RunRecordWriter } from '../src/queue/run-record.ts';
import { Interruption } from './active-attempt.ts';
import { type Outcome, writeDown } from './outcome.ts';
import { type Purchase, stopSpending } from './purchase.ts';
import type { Upstream } from './upstream.ts';

/** How far an attempt had come when it broke off. */
export interface Unfinished {
  record: RunRecordWriter;
  upstream: Upstream;
  signal: AbortSignal;
  attempt: number;
  /** After so many a retryable failure is final too. */
  maxAttempts: number;
  /** What may still be running at the upstream. */
  purchase: Purchase | undefined;
}

/**
 * Turns whatever broke an attempt off into its outcome. What nobody expected is thrown on: BullMQ tries again, as often as attempts are
 * allowed, and a response that is known by then is adopted.
 */
export async function explain(error: unknown, unfinished: Unfinished): Promise<Outcome> {
  // An aborted signal explains every error after it: connections that were closed throw all sorts of things.
  const { signal } = unfinished;
  const cause: unknown = signal.aborted && !(error instanceof LockLostError) ? signal.reason : error;
  try {
    if (cause instanceof Interruption) return await interrupted(cause, unfinished);
    if (isFailure(cause)) {
      const outcome = await failed(cause, null, unfinished);
      // Only now is it certain that no other worker follows the response.
      await stopSpending(unfinished.purchase, unfinished.upstream);
      return outcome;
    }
    if (cause instanceof LockLostError) return { kind: 'lost' };
  } catch (second: unknown) {
    if (second instanceof LockLostError) return { kind: 'lost' };
    throw second;
  }
  throw error;
}

async function interrupted({ reason }: Interruption, unfinished: Unfinished): Promise<Outcome> {
  const { record, upstream, purchase } = unfinished;
  switch (reason) {
    case 'cancelled':
      return writeDown({ status: 'cancelled', usage: await stopSpending(purchase, upstream) }, record);
    case 'timeout': {
      const usage = await stopSpending(purchase, upstream);
      return failed(
        new TerminalError('timeout', 'The attempt took longer than its timeout; its response was cancelled'),
        usage,
        unfinished,
      );
    }
    case 'shutdown':
      return { kind: 'released' };
    case 'lock lost':
      return { kind: 'lost' };
    default: {
      const never: never = reason;
      throw new Error(`unknown interruption ${String(never)}`);
    }
  }
}

async function failed(failure: Failure, usage: Usage | null, unfinished: Unfinished): Promise<Outcome> {
  const { record, attempt, maxAttempts } = unfinished;
  const error = { code: failure.code, message: failure.message, retryable: failure.retryable };
  if (failure instanceof RetryableError && attempt < maxAttempts) {
    // The next attempt must not adopt what has failed; why it failed is shown until then.
    const { cancelRequested } = await record.save({
      upstreamId: undefined,
      upstreamStatus: undefined,
      error,
    });
    if (!cancelRequested) return { kind: 'retry', failure, attempt };
  }
  return writeDown({ status: 'failed', error, usage }, record);
}
