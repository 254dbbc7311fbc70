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
  /** No further attempt is allowed: a retryable failure is final too. */
  last: boolean;
  purchase: Purchase | undefined;
}

/** Turns whatever broke an attempt off into its outcome; what nobody expected is thrown on. */
export async function explain(error: unknown, unfinished: Unfinished): Promise<Outcome> {
  // An aborted signal explains every error after it: connections that were closed throw all sorts of things.
  const { signal } = unfinished;
  const cause: unknown = signal.aborted && !(error instanceof LockLostError) ? signal.reason : error;
  try {
    if (cause instanceof Interruption) return await interrupted(cause, unfinished);
    if (isFailure(cause)) return await failed(cause, null, unfinished);
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

async function failed(failure: Failure, usage: Usage | null, { record, last }: Unfinished): Promise<Outcome> {
  const error = { code: failure.code, message: failure.message, retryable: failure.retryable };
  if (failure instanceof RetryableError && !last) {
    // The next attempt must not adopt what has failed; why it failed is shown until then.
    const { cancelRequested } = await record.save({
      upstreamId: undefined,
      upstreamStatus: undefined,
      error,
    });
    if (!cancelRequested) return { kind: 'retry', failure };
  }
  return writeDown({ status: 'failed', error, usage }, record);
}
