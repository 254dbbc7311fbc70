import { TerminalError } from '../src/failure.ts';
import { type JobData, parseJobData, responsesBodyFrom } from '../src/job-request.ts';
import { QueueError } from '../src/problem.ts';
import type { RunProgress, RunRecord, RunRecordWriter } from '../src/queue/run-record.ts';
import type { UpstreamResponse } from '../src/response.ts';
import { type ActiveAttempt, Interruption } from './active-attempt.ts';
import { follow } from './follow.ts';
import { endFrom, type Outcome, outcomeOf, writeDown } from './outcome.ts';
import { announceCancel } from './prompt-cancel.ts';
import { buy, type Purchase, purchaseToAdopt, stopSpending } from './purchase.ts';
import { explain } from './unfinished.ts';
import type { Upstream } from './upstream.ts';

/** All that one attempt needs; nothing of BullMQ. */
export interface Attempt {
  /** The job's data as it lies in Redis: anybody may have written it. */
  data: unknown;
  /** As BullMQ counts them, before this one. */
  attemptsMade: number;
  /** After so many a retryable failure is final too. */
  maxAttempts: number;
  upstreamModel: string;
  /** The model's limit, in milliseconds; the job's own wins. */
  timeoutMs: number;
  record: RunRecordWriter;
  upstream: Upstream;
  active: ActiveAttempt;
}

/** One attempt, from what is known to what is written down. It adopts before it buys. */
export async function runAttempt(attempt: Attempt): Promise<Outcome> {
  const { active, upstream } = attempt;
  let number = attempt.maxAttempts;
  let purchase: Purchase | undefined;
  let timer: NodeJS.Timeout | undefined;
  const announcement = announceCancel(active.signal, attempt.record);
  try {
    const { finished, record } = await attempt.record.begin(attempt.attemptsMade);
    number = record.attempt;
    purchase = purchaseToAdopt(record);
    if (finished) return await endedBefore(record, purchase, upstream);
    if (record.cancelRequested) throw new Interruption('cancelled');
    const job = checkedJob(attempt);
    timer = endAt((purchase?.createdAt ?? Date.now()) + job.timeoutMs, active);
    purchase ??= await buy({ ...attempt, ...job });
    const response = await followToItsEnd(purchase, attempt);
    purchase = undefined;
    return await writeDown(endFrom(response), attempt.record);
  } catch (error: unknown) {
    return await explain(error, { ...attempt, signal: active.signal, attempt: number, purchase });
  } finally {
    clearTimeout(timer);
    announcement.close();
  }
}

/** A run that had its final status when its worker died: BullMQ is told now. It may have left a response running. */
async function endedBefore(
  record: RunRecord,
  purchase: Purchase | undefined,
  upstream: Upstream,
): Promise<Outcome> {
  if (record.status !== 'completed') await stopSpending(purchase, upstream);
  return outcomeOf(record.status ?? 'failed', record);
}

/** @throws {TerminalError} `invalid_request`: a producer of another language may have written anything. */
function checkedJob({ data, upstreamModel, timeoutMs }: Attempt): {
  body: Record<string, unknown>;
  stream: boolean;
  timeoutMs: number;
} {
  let checked: JobData;
  try {
    checked = parseJobData(data);
  } catch (error: unknown) {
    if (error instanceof QueueError)
      throw new TerminalError('invalid_request', error.message, { cause: error });
    throw error;
  }
  return {
    body: responsesBodyFrom(checked, upstreamModel),
    stream: checked.stream ?? true,
    timeoutMs: checked.timeout_ms ?? timeoutMs,
  };
}

/** An adopted response has used up some of its time already. */
function endAt(time: number, active: ActiveAttempt): NodeJS.Timeout {
  return setTimeout(() => active.interrupt('timeout'), Math.max(0, time - Date.now()));
}

async function followToItsEnd(
  { running, ...position }: Purchase,
  { active, upstream, record }: Attempt,
): Promise<UpstreamResponse> {
  if (running.background) active.canBeAdopted();
  const onProgress = async (progress: RunProgress): Promise<void> => {
    const { cancelRequested } = await record.save(progress);
    if (cancelRequested) active.interrupt('cancelled');
  };
  active.signal.throwIfAborted();
  return follow(running, { upstream, signal: active.signal, ...position, onProgress });
}
