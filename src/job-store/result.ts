import type { Refusal } from '../errors/failure.ts';
import { QueueError } from '../errors/problem.ts';
import { parseExact } from '../job/exact-json.ts';
import { wholeData } from '../job/fields/compression.ts';
import { parseJobData, responsesBodyFrom } from '../job/request.ts';
import type { CompletedJob, JobResult, JobView } from '../job/view.ts';
import type { JobReading } from '../model-queue/job-view.ts';
import { answerOf, type UpstreamResponse } from '../responses/response.ts';
import type { JobAct } from '../run/record.ts';

type StoredResponse = UpstreamResponse & Record<string, unknown>;

/** resultFrom returns the whole result of a completed job. @param stored the JSON of its response. */
export function resultFrom(job: CompletedJob, stored: Buffer): JobResult {
  const response = JSON.parse(stored.toString()) as StoredResponse;
  return { answer: answerOf(response), ...aboutResult(job), response };
}

/**
 * resultJsonFrom returns the JSON of `resultFrom` without decoding the response as text, because decoding an
 * answer of 8 MB would block the process for 150 ms. The response is sent as the stored bytes, which a worker
 * wrote with JSON.stringify. To find the answer in these bytes, each byte is read as one character. This is
 * safe because UTF-8 encodes all non-ASCII characters as bytes above 127, which the JSON parser leaves
 * unchanged.
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
  const { answer_preview: _preview, usage, cost_usd, simulated, service_tier, ...rest } = result;
  return { usage, cost_usd, simulated, service_tier, model, ...rest };
}

/** JobDetail is a job with what the Responses API shows of it. */
export interface JobDetail {
  job: JobView;
  /** The request as a body of the Responses API, with the caller's `background` and `stream`. */
  request: Record<string, unknown>;
  /** The upstream's own words about a failure. */
  refusal: Refusal | undefined;
  /** The URL to which the job's end is sent; undefined: none. */
  webhook?: string | undefined;
  /** Who has cancelled and retried the job, oldest first. */
  acts?: readonly JobAct[];
  /** The response of a completed job, as the upstream sent it; undefined for any other job. */
  response: StoredResponse | undefined;
}

/**
 * jobDetailFrom decodes a job's data as it is stored, and the JSON of its response; `response` is null if the
 * job has none.
 */
export async function jobDetailFrom(
  { view, refusal, webhook, acts }: JobReading,
  data: string,
  response: Buffer | null,
): Promise<JobDetail> {
  return {
    job: view,
    request: requestFrom(await wholeData(parseExact(data)), view.model),
    refusal,
    webhook,
    acts,
    response: response === null ? undefined : (JSON.parse(response.toString()) as StoredResponse),
  };
}

/**
 * Returns a job's data as a body of the Responses API. A job that was not enqueued through the Responses API
 * runs independently of its caller, so its `background` is true. Another BullMQ client may have written
 * anything: data that is not a request becomes a request without input.
 */
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
