import type { TenantQueue } from '../../../src/queue/tenant-queue.ts';
import type { Reply, Route, RouteInput } from '../../http/route.ts';
import { SSE_KEEP_ALIVE, SSE_TYPE } from '../../http/sse.ts';
import { createResponse } from '../../openapi/operations/v1.ts';
import { type EnqueuedResponse, enqueueResponse } from '../enqueue.ts';
import { OpenAiError } from '../openai-error.ts';
import { throughOutages } from '../retry-through-outage.ts';
import { bodyFrom, jobRequestFrom } from './create-request.ts';
import { type ForegroundOptions, foregroundReply, refuseLikeUpstream, withFirstWord } from './foreground.ts';
import { isBackground, responseObject } from './response-object.ts';
import { responseEvents } from './response-stream.ts';

/**
 * createResponseRoute is `POST /v1/responses`: in the background or in the foreground, streamed or not.
 *
 * @param draining aborts when the producer is about to stop: connections that close then were not closed by
 * their callers.
 */
export function createResponseRoute(headersMs: number, draining: AbortSignal): Route {
  return {
    method: 'post',
    path: '/v1/responses',
    operation: createResponse,
    async handle({ queue, headers, body: input, signal }: RouteInput) {
      const body = bodyFrom(input);
      const request = await jobRequestFrom(body, headers, queue);
      const { delivered, ...enqueued } = await enqueueResponse(request, body, headers, queue);
      let isWhole = body['stream'] !== true;
      let isSent = false;
      const sent = (): void => {
        if (!isWhole) return;
        isSent = true;
        delivered();
      };
      if (headers['o3q-on-disconnect'] === 'cancel') {
        onAbort(signal, () => {
          if (isSent || draining.aborted) return;
          // The SDK that asks again, because its connection broke, must not find a cancelled job.
          delivered();
          cancelThrough(enqueued.job.id, queue, draining);
        });
      }
      try {
        const onEnd = (): void => {
          isWhole = true;
        };
        return { ...(await replyTo(body, enqueued, { queue, signal, headersMs, onEnd })), sent };
      } catch (error: unknown) {
        if (!(error instanceof OpenAiError)) throw error;
        isWhole = true;
        // A refusal is an answer like any other: once it has gone out, no retry needs to find the job.
        return { status: error.status, headers: error.headers, body: error, sent };
      }
    },
  };
}

function onAbort(signal: AbortSignal, action: () => void): void {
  if (signal.aborted) action();
  else signal.addEventListener('abort', action, { once: true });
}

/** A job that has ended in the meantime stays as it is. */
function cancelThrough(id: string, queue: TenantQueue, signal: AbortSignal): void {
  throughOutages(() => queue.cancel(id), signal).catch(() => {});
}

async function replyTo(
  body: Record<string, unknown>,
  { job, isNew }: Pick<EnqueuedResponse, 'job' | 'isNew'>,
  options: ForegroundOptions & { onEnd: () => void },
): Promise<Reply> {
  const { queue, signal, headersMs, onEnd } = options;
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
  const chunks = responseEvents(asked, seen, { startingAfter: -1, queue, signal, onEnd });
  return { status: 200, stream: { contentType: SSE_TYPE, keepAlive: SSE_KEEP_ALIVE, chunks } };
}
