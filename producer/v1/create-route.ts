import type { Reply, Route, RouteInput } from '../http/route.ts';
import { SSE_KEEP_ALIVE, SSE_TYPE } from '../http/sse.ts';
import { createResponse } from '../openapi/operations/v1.ts';
import { bodyFrom, jobRequestFrom } from './create-request.ts';
import { type Accepted, accept } from './enqueue.ts';
import { type ForegroundOptions, foregroundReply, refuseLikeUpstream, withFirstWord } from './foreground.ts';
import { OpenAiError } from './openai-error.ts';
import { isBackground, responseObject } from './response-object.ts';
import { responseEvents } from './response-stream.ts';

/** `POST /v1/responses`: in the background, in the foreground, and both of them streamed. */
export function createResponseRoute(headersMs: number): Route {
  return {
    method: 'post',
    path: '/v1/responses',
    operation: createResponse,
    async handle({ queue, headers, body: input, signal }: RouteInput) {
      const body = bodyFrom(input);
      const request = await jobRequestFrom(body, headers, queue);
      const { delivered: sent, ...accepted } = await accept(request, body, headers, queue);
      try {
        return { ...(await replyTo(body, accepted, { queue, signal, headersMs })), sent };
      } catch (error: unknown) {
        if (!(error instanceof OpenAiError)) throw error;
        // An answer like any other, and once it has gone out nobody comes back for it.
        return { status: error.status, headers: error.headers, body: error, sent };
      }
    },
  };
}

async function replyTo(
  body: Record<string, unknown>,
  { job, isNew }: Pick<Accepted, 'job' | 'isNew'>,
  options: ForegroundOptions,
): Promise<Reply> {
  const { queue, signal, headersMs } = options;
  const asked = { job, request: { ...body, model: job.model } };
  if (body['stream'] !== true) {
    if (!isBackground(body)) return foregroundReply(job.id, options);
    const known = isNew ? { ...asked, refusal: undefined, response: undefined } : await queue.inspect(job.id);
    return { status: 200, body: responseObject(known) };
  }
  const watched = await queue.watch(job.id, { after: 0, signal });
  const { seen, endedAtOnce } = isBackground(body)
    ? { seen: watched, endedAtOnce: false }
    : await withFirstWord(watched, headersMs);
  signal.throwIfAborted();
  if (endedAtOnce) refuseLikeUpstream(await queue.inspect(job.id));
  const chunks = responseEvents(asked, seen, { startingAfter: -1, queue, signal });
  return { status: 200, stream: { contentType: SSE_TYPE, keepAlive: SSE_KEEP_ALIVE, chunks } };
}
