import type { Reply, Route, RouteInput } from '../http/route.ts';
import { SSE_KEEP_ALIVE, SSE_TYPE } from '../http/sse.ts';
import { answerStream } from './answer-stream.ts';
import type { Asking, Door } from './door.ts';
import { type EnqueuedResponse, enqueueResponse } from './enqueue.ts';
import { type HoldOptions, heldReply, withFirstWord } from './holding.ts';
import { OpenAiError } from './openai-error.ts';
import { bodyFrom, jobRequestFrom, queueOptionsFrom } from './responses/create-request.ts';
import { throughOutages } from './retry-through-outage.ts';
import type { Undelivered, UndeliveredCall } from './undelivered.ts';

export interface CreateOptions {
  /** Replaces the time of the door. Default: the door's. */
  headersMs: number | undefined;
  /** The record of calls that all doors of a producer share. */
  undelivered: Undelivered;
  /**
   * Aborts when the producer is about to stop. Connections that close after that were not closed by their
   * callers.
   */
  draining: AbortSignal;
}

/** createRoute is the route of a door: it makes a job of a call, and answers the call with it. */
export function createRoute(door: Door, { headersMs, undelivered, draining }: CreateOptions): Route {
  return {
    method: 'post',
    path: door.path,
    operation: door.operation,
    async handle(input: RouteInput) {
      const { queue, headers, signal } = input;
      const asking = door.read(bodyFrom(input.body));
      const options = queueOptionsFrom(headers);
      if (asking.isStreamed) input.openStream();
      const { call, ...enqueued } = await enqueueCall(asking, input, { door, undelivered });
      /** Whether the complete answer is being sent. A stream may end before the answer is complete. */
      let isWhole = !asking.isStreamed;
      let isDelivered = false;
      /**
       * Whether this producer ended the call without an answer. In that case the caller did not disconnect.
       */
      let isGivenUp = false;
      let key: 'left' | 'forgotten' = 'forgotten';
      const sent = (): void => {
        isGivenUp = !isWhole;
        if (isGivenUp) return;
        isDelivered = true;
        call?.end(key).catch(() => {});
      };
      onAbort(signal, () => {
        if (isDelivered) return;
        const isDisconnect = !isGivenUp && !draining.aborted;
        const isCancelled = options['o3q-on-disconnect'] === 'cancel' && isDisconnect;
        const id = isCancelled ? enqueued.job.id : undefined;
        breakOff(call, id, { queue, signal: draining }).catch(() => {});
      });
      const onEnd = (): void => {
        isWhole = true;
      };
      const onCut = (): void => {
        isGivenUp = true;
      };
      try {
        const hold = { queue, signal, headersMs: headersMs ?? door.headersMs, onCut, onEnd };
        const reply = await replyTo(asking, enqueued, hold);
        return { ...reply, headers: { ...reply.headers, 'o3q-ack': enqueued.ack }, sent };
      } catch (error: unknown) {
        isGivenUp = true;
        if (!(error instanceof OpenAiError)) throw error;
        // A refusal counts as an answer: once it has been sent, no later call gets this job, except for a
        // client's own retry.
        isWhole = true;
        if (door.failureMs > 0 && isSentAgain(error)) key = 'left';
        return { status: error.status, headers: error.headers, body: error, sent };
      }
    },
  };
}

/**
 * enqueueCall makes a job of a call, and forgets the input: the call may be held for an hour, the input may
 * be of 50 MB, and no answer repeats it.
 */
async function enqueueCall(
  asking: Asking,
  { queue, headers, dropBody }: RouteInput,
  { door, undelivered }: { door: Door; undelivered: Undelivered },
): Promise<EnqueuedResponse> {
  const options = queueOptionsFrom(headers);
  const request = jobRequestFrom(asking.body, { options, headers });
  const how = { headers, isAgain: options['o3q-again'] === '1', failureMs: door.failureMs };
  const enqueued = await enqueueResponse(request, how, queue, undelivered);
  delete asking.body['input'];
  dropBody();
  return enqueued;
}

/** isSentAgain is true for an error after which clients send a call again by themselves. */
function isSentAgain({ status }: OpenAiError): boolean {
  return status === 408 || status === 409 || status === 429 || status >= 500;
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
  { queue, signal }: Pick<HoldOptions, 'queue' | 'signal'>,
): Promise<void> {
  const isHeld = await call?.end(cancelled === undefined ? 'left' : 'forgotten');
  if (cancelled === undefined || isHeld === false) return;
  await throughOutages(() => queue.cancel(cancelled), signal);
}

async function replyTo(
  asking: Asking,
  { job, isNew }: Pick<EnqueuedResponse, 'job' | 'isNew'>,
  options: HoldOptions & { onEnd: () => void },
): Promise<Reply> {
  const { queue, signal, headersMs, onEnd } = options;
  const asked = { job, request: { ...asking.body, model: job.model } };
  if (!asking.isStreamed) {
    if (asking.isHeld) return heldReply(job.id, asking, options);
    const known = isNew ? { ...asked, refusal: undefined, response: undefined } : await queue.inspect(job.id);
    return { status: 200, body: asking.whole(known) };
  }
  const watched = await queue.watch(job.id, { after: 0, signal });
  const { seen, endedAtOnce } =
    asking.firstWordMs > 0
      ? await withFirstWord(watched, Math.min(headersMs, asking.firstWordMs))
      : { seen: watched, endedAtOnce: false };
  signal.throwIfAborted();
  if (endedAtOnce) asking.refuse(await queue.inspect(job.id));
  const chunks = answerStream(asking.writer(asked), asked, seen, {
    startingAfter: -1,
    queue,
    signal,
    onEnd,
  });
  return { status: 200, stream: { contentType: SSE_TYPE, keepAlive: SSE_KEEP_ALIVE, chunks } };
}
