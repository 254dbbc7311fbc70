import type { Refusal } from '../errors/failure.ts';
import { QueueError } from '../errors/problem.ts';
import { parseJobData, responsesBodyFrom } from '../job/request.ts';
import type { JobView } from '../job/view.ts';
import type { JobReading } from '../model-queue/job-view.ts';
import type { UpstreamResponse } from '../responses/response.ts';

/** A job in the words of the Responses API. */
export interface JobDetail {
  job: JobView;
  /** What the caller asked, as a body of the Responses API. `background` and `stream` are the caller's. */
  request: Record<string, unknown>;
  /** What the upstream said of a failure. */
  refusal: Refusal | undefined;
  /** Of a completed job: as the upstream sent it. */
  response: (UpstreamResponse & Record<string, unknown>) | undefined;
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
    response:
      response === null ? undefined : (JSON.parse(response) as UpstreamResponse & Record<string, unknown>),
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
