import type { CompletedJob, JobResult } from '../job/view.ts';
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
