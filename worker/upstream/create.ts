import { randomUUID } from 'node:crypto';
import { failureFromResponseError, RetryableError } from '../../src/errors/failure.ts';
import type { AdvertisedLimits } from '../../src/quota/quota.ts';
import { isPartOfAnswer } from '../../src/responses/event.ts';
import { isUpstreamResponse, outputOf, type UpstreamResponse } from '../../src/responses/response.ts';
import { mayHaveBought, PurchaseUncertainError, refusesBackground, retryableFrom } from './errors.ts';
import { hasEnded, type RunningResponse, type StreamEvent } from './running-response.ts';
import { endOf } from './stream-events.ts';

/** Patience is how long the upstream may be silent before the worker acts on it, in milliseconds. */
export interface Patience {
  /**
   * From a call until its answer, in background mode until its first event. The upstream answers such calls
   * at once; this limit is for a server that hangs. With too short a limit a response is bought twice.
   * Default 60,000.
   */
  answerMs: number;
  /**
   * Between two events of a background stream; then the response is looked up. OpenAI sends one every 30 s.
   * Default 90,000.
   */
  silenceMs: number;
  /**
   * For how long a create may still return its id after a cancel or a shutdown: the id costs money. Default
   * 3,000.
   */
  graceMs: number;
}

export interface CreateOptions {
  /** Whether to follow by events rather than by polling, where the server can. */
  stream: boolean;
  /** Ends the connection, in background mode after a grace. The attempt aborts it at its own time limit. */
  signal: AbortSignal;
}

/**
 * CreateCall buys a response.
 * @throws {Failure} when nothing was bought, {PurchaseUncertainError} when that is unknown.
 */
export type CreateCall = (body: Record<string, unknown>, options: CreateOptions) => Promise<RunningResponse>;

/** Reply is what the server answered: a stream, or one JSON value. */
export type Reply = { limits: AdvertisedLimits } & (
  | { kind: 'events'; events: AsyncGenerator<StreamEvent> }
  | { kind: 'json'; body: unknown }
);

/**
 * Send sends one create request. The connection ends with `connection`; a stream ends with `signal` too, and
 * in background mode when it has been silent for too long.
 */
export type Send = (
  parameters: Record<string, unknown>,
  options: { connection: AbortController; signal: AbortSignal; background: boolean },
) => Promise<Reply>;

/**
 * After this time a server without background mode is asked for it again, because it may have been upgraded.
 */
const FOREGROUND_FOR_MS = 600_000;

/**
 * createCreateCall returns a create call that uses background mode where the server has it, and finds that
 * out once, not for each job.
 */
export function createCreateCall(send: Send, patience: Patience): CreateCall {
  let backgroundWorks = false;
  let foregroundUntil = 0;
  const remember = (background: boolean): void => {
    backgroundWorks = background;
    if (!background) foregroundUntil = Date.now() + FOREGROUND_FOR_MS;
  };
  return async (body, { stream, signal }) => {
    let refused = false;
    if (Date.now() >= foregroundUntil) {
      try {
        // Streamed in any case until the server has shown that it has background mode. A server that ignores
        // the flag would be silent for minutes, and look like one that hangs.
        const probing = !backgroundWorks;
        const running = await post(send, body, {
          background: true,
          stream: stream || probing,
          signal,
          patience,
        });
        remember(running.background);
        return running;
      } catch (error: unknown) {
        if (!refusesBackground(error)) throw error;
        refused = true;
      }
    }
    // Streamed in any case: proxies cut a connection that is silent for minutes.
    const running = await post(send, body, { background: false, stream: true, signal, patience });
    // Only now is it certain that the server refused background mode, and not something else about this
    // request.
    if (refused && body['store'] !== false) remember(false);
    return running;
  };
}

interface PostOptions extends CreateOptions {
  background: boolean;
  patience: Patience;
}

async function post(
  send: Send,
  body: Record<string, unknown>,
  { background, stream, signal, patience }: PostOptions,
): Promise<RunningResponse> {
  const connection = new AbortController();
  const end = (): void => connection.abort();
  let late = false;
  const giveUp = (): void => {
    late = true;
    end();
  };
  const answerTimer = background ? setTimeout(giveUp, patience.answerMs) : undefined;
  let graceTimer: NodeJS.Timeout | undefined;
  const endSoon = (): void => {
    graceTimer = setTimeout(end, background ? patience.graceMs : 0);
  };
  if (signal.aborted) endSoon();
  signal.addEventListener('abort', endSoon, { once: true });
  try {
    const parameters = { ...body, stream, ...(background && { background, store: body['store'] ?? true }) };
    const reply = await send(parameters, { connection, signal, background });
    const running =
      reply.kind === 'json'
        ? fromJson(reply.body, { background, stream })
        : await fromEvents(reply.events, () => answerTimer?.refresh());
    return { ...running, limits: reply.limits };
  } catch (error: unknown) {
    end();
    if (late) throw new PurchaseUncertainError(tooLate(patience.answerMs, error));
    if (mayHaveBought(error)) throw new PurchaseUncertainError(retryableFrom(error));
    throw error;
  } finally {
    clearTimeout(answerTimer);
    clearTimeout(graceTimer);
    signal.removeEventListener('abort', endSoon);
  }
}

function tooLate(answerMs: number, cause: unknown): RetryableError {
  return new RetryableError('connection_lost', `The upstream did not answer within ${answerMs / 1000} s`, {
    cause,
  });
}

/**
 * Some servers answer with JSON although the request asks for a stream. An answer that comes at once and in
 * the foreground is the whole answer, whatever its status says.
 */
function fromJson(body: unknown, asked: { background: boolean; stream: boolean }): RunningResponse {
  if (!isUpstreamResponse(body)) {
    throw new RetryableError(
      'upstream_error',
      'The upstream answered without a response object: is the base URL that of a Responses API?',
    );
  }
  const isEnded = hasEnded(body);
  const isWhole = !isEnded && body.background !== true && outputOf(body).length > 0;
  const response = isWhole ? { ...body, status: 'completed' } : body;
  // Some servers take the flag without repeating it.
  const background = body.background ?? (asked.background && !isEnded && !isWhole);
  return { response, background, streamed: asked.stream && background };
}

/**
 * Some servers begin with the text, and never tell an id.
 *
 * @param onSignOfLife called for each event before the first that tells something.
 */
async function fromEvents(
  events: AsyncGenerator<StreamEvent>,
  onSignOfLife: () => void,
): Promise<RunningResponse> {
  for (;;) {
    const { done, value } = await events.next();
    if (done)
      throw new RetryableError('connection_lost', 'The upstream ended the stream before its first event');
    const named = withId(value.response ?? {});
    const ended = endOf(value, named);
    if (ended !== undefined) {
      await events.return(undefined);
      return { response: withId(ended), background: ended.background === true, streamed: true };
    }
    if (isUpstreamResponse(named) && value.response !== undefined) {
      // The type of the event says that it begins.
      const response = hasEnded(named) ? { ...named, status: 'in_progress' } : named;
      return { response, background: response.background === true, streamed: true, events };
    }
    if (value.type === 'error')
      throw failureFromResponseError({
        code: value.code ?? 'unknown',
        message: value.message ?? 'no message',
      });
    if (isPartOfAnswer(value)) {
      return { response: named, background: false, streamed: true, events: beginningWith(value, events) };
    }
    onSignOfLife();
  }
}

/** A response without an id gets one: it cannot be looked up, and is booked under it. */
function withId(response: Partial<UpstreamResponse>): UpstreamResponse {
  const { id } = response;
  if (typeof id === 'string' && id !== '') return { ...response, id };
  return { ...response, id: `resp_unnamed_${randomUUID().replaceAll('-', '')}` };
}

async function* beginningWith(
  first: StreamEvent,
  rest: AsyncGenerator<StreamEvent>,
): AsyncGenerator<StreamEvent> {
  try {
    yield first;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}
