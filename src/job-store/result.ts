import type { Refusal } from '../errors/failure.ts';
import { QueueError } from '../errors/problem.ts';
import { parseJobData, responsesBodyFrom } from '../job/request.ts';
import type { CompletedJob, JobResult, JobView } from '../job/view.ts';
import type { JobReading } from '../model-queue/job-view.ts';
import { answerOf, type UpstreamResponse } from '../responses/response.ts';

type StoredResponse = UpstreamResponse & Record<string, unknown>;

/** The whole result of a completed job, from the response as it lies in Redis. */
export function resultFrom(job: CompletedJob, stored: Buffer): JobResult {
  const response = JSON.parse(stored.toString()) as StoredResponse;
  return { answer: answerOf(response), ...aboutResult(job), response };
}

/**
 * The JSON of `resultFrom`, without ever holding it as text: of an answer of 8 MB that would stop the process for 150 ms.
 * The response goes out as the bytes that were stored, which our workers wrote with JSON.stringify. The answer is cut out of them as
 * if each byte were a character: UTF-8 uses only bytes above ASCII beside it, and JSON lets these pass as they are.
 */
export function resultJsonFrom(job: CompletedJob, stored: Buffer): Buffer {
  const bytewise = JSON.parse(stored.toString('latin1')) as StoredResponse;
  const about = JSON.stringify(aboutResult(job));
  return Buffer.concat([
    Buffer.from('{"answer":'),
    Buffer.from(JSON.stringify(answerOf(bytewise)), 'latin1'),
    Buffer.from(`,${about.slice(1, -1)},"response":`),
    stored,
    Buffer.from('}'),
  ]);
}

function aboutResult({ model, result }: CompletedJob): Omit<JobResult, 'answer' | 'response'> {
  const { usage, cost_usd, service_tier, upstream_model, fallback_from, incomplete_reason } = result;
  return { usage, cost_usd, service_tier, model, upstream_model, fallback_from, incomplete_reason };
}

/** A job in the words of the Responses API. */
export interface JobDetail {
  job: JobView;
  /** What the caller asked, as a body of the Responses API. `background` and `stream` are the caller's. */
  request: Record<string, unknown>;
  /** What the upstream said of a failure. */
  refusal: Refusal | undefined;
  /** Of a completed job: as the upstream sent it. */
  response: StoredResponse | undefined;
}

export function jobDetailFrom(
  { view, refusal }: JobReading,
  data: string,
  response: string | null,
): JobDetail {
  return {
    job: view,
    request: requestFrom(JSON.parse(data), view.model),
    refusal,
    response: response === null ? undefined : (JSON.parse(response) as StoredResponse),
  };
}

/** A job that was not asked for through the Responses API goes on without its caller: `background` is true. Data that nobody understands asks nothing. */
function requestFrom(data: unknown, model: string): Record<string, unknown> {
  try {
    const parsed = parseJobData(data);
    if ('request' in parsed) return { ...parsed.request, model };
    return { ...responsesBodyFrom(parsed, model), background: true };
  } catch (error: unknown) {
    if (error instanceof QueueError) return { model, background: true };
    throw error;
  }
}
