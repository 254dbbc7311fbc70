import type { Reply, Route, RouteInput } from '../../http/route.ts';
import { createSharedTexts, type SharedTexts, SSE_KEEP_ALIVE, SSE_TYPE } from '../../http/sse.ts';
import { createResponse } from '../../openapi/operations/v1.ts';
import { type EnqueuedResponse, enqueueResponse } from '../enqueue.ts';
import { OpenAiError } from '../openai-error.ts';
import { throughOutages } from '../retry-through-outage.ts';
import { createUndelivered, type UndeliveredCall } from '../undelivered.ts';
import { bodyFrom, jobRequestFrom, queueOptionsFrom } from './create-request.ts';
import { type ForegroundOptions, foregroundReply, refuseLikeUpstream, withFirstWord } from './foreground.ts';
import { isBackground, responseObject } from './response-object.ts';
import { responseEvents } from './response-stream.ts';

/**
 * createResponseRoute is `POST /v1/responses`: in the background or in the foreground, streamed or not.
 *
 * @param draining aborts when the producer is about to stop. Connections that close after that were not
 * closed by their callers.
 */
export function createResponseRoute(headersMs: number, draining: AbortSignal): Route {
  const undelivered = createUndelivered(draining);
  const texts = createSharedTexts();
  return {
    method: 'post',
    path: '/v1/responses',
    operation: createResponse,
    async handle({ queue, headers, body: input, signal, openStream }: RouteInput) {
      const body = bodyFrom(input);
      const options = queueOptionsFrom(headers);
      if (body['stream'] === true) openStream();
      const request = jobRequestFrom(body, { options, headers });
      const isAgain = options['o3q-again'] === '1';
      const { call, ...enqueued } = await enqueueResponse(request, { headers, isAgain }, queue, undelivered);
      /** Whether the complete answer is being sent. A stream may end before the answer is complete. */
      let isWhole = body['stream'] !== true;
      let isDelivered = false;
      /**
       * Whether this producer ended the call without an answer. In that case the caller did not disconnect.
       */
      let isGivenUp = false;
      const sent = (): void => {
        isGivenUp = !isWhole;
        if (isGivenUp) return;
        isDelivered = true;
        call?.end('forgotten').catch(() => {});
      };
      onAbort(signal, () => {
        if (isDelivered) return;
        const isDisconnect = !isGivenUp && !draining.aborted;
        const isCancelled = options['o3q-on-disconnect'] === 'cancel' && isDisconnect;
        const id = isCancelled ? enqueued.job.id : undefined;
        breakOff(call, id, { queue, signal: draining }).catch(() => {});
      });
      try {
        const onEnd = (): void => {
          isWhole = true;
        };
        return { ...(await replyTo(body, enqueued, { queue, signal, headersMs, texts, onEnd })), sent };
      } catch (error: unknown) {
        isGivenUp = true;
        if (!(error instanceof OpenAiError)) throw error;
        // A refusal counts as an answer: once it has been sent, no later call gets this job.
        isWhole = true;
        return { status: error.status, headers: error.headers, body: error, sent };
      }
    },
  };
}

function onAbort(signal: AbortSignal, action: () => void): void {
  if (signal.aborted) action();
  else signal.addEventListener('abort', action, { once: true });
}

/**
 * breakOff ends a call whose connection closed before the answer was delivered.
 * @param cancelled the job to cancel, unless it has ended or a retry has taken it; undefined: none.
 */
async function breakOff(
  call: UndeliveredCall | undefined,
  cancelled: string | undefined,
  { queue, signal }: Pick<ForegroundOptions, 'queue' | 'signal'>,
): Promise<void> {
  const isHeld = await call?.end(cancelled === undefined ? 'left' : 'forgotten');
  if (cancelled === undefined || isHeld === false) return;
  await throughOutages(() => queue.cancel(cancelled), signal);
}

async function replyTo(
  body: Record<string, unknown>,
  { job, isNew }: Pick<EnqueuedResponse, 'job' | 'isNew'>,
  options: ForegroundOptions & { texts: SharedTexts; onEnd: () => void },
): Promise<Reply> {
  const { queue, signal, headersMs, texts, onEnd } = options;
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
  const chunks = responseEvents(asked, seen, { startingAfter: -1, queue, signal, texts, onEnd });
  return { status: 200, stream: { contentType: SSE_TYPE, keepAlive: SSE_KEEP_ALIVE, chunks } };
}
