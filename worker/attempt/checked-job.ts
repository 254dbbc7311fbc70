import { TerminalError } from '../../src/errors/failure.ts';
import { QueueError } from '../../src/errors/problem.ts';
import { type JobData, parseJobData, responsesBodyFrom } from '../../src/job/request.ts';
import type { Attempt } from './attempt-state.ts';

/** CheckedJob is a job's data after its check, in the form that an attempt uses. */
export interface CheckedJob {
  /** The body of the create request. */
  body: Record<string, unknown>;
  stream: boolean;
  timeoutMs: number;
  /** The deadline of the job, in Unix milliseconds; infinity: the job has none. */
  deadlineAt: number;
}

/**
 * checkJob checks a job's data, because any BullMQ client may have written it.
 * @throws {TerminalError} `invalid_request`.
 */
export function checkJob({ data, model, upstreamModel }: Attempt): CheckedJob {
  const checked = parsed(data);
  return {
    body: responsesBodyFrom(checked, upstreamModel),
    stream: checked.stream ?? true,
    timeoutMs: checked.timeout_ms ?? model.timeoutMs,
    deadlineAt: checked.deadline === undefined ? Number.POSITIVE_INFINITY : Date.parse(checked.deadline),
  };
}

function parsed(data: unknown): JobData {
  try {
    return parseJobData(data);
  } catch (error: unknown) {
    if (!(error instanceof QueueError)) throw error;
    throw new TerminalError('invalid_request', error.message, { cause: error });
  }
}
