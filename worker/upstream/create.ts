import { RetryableError } from '../../src/errors/failure.ts';
import { windowIn } from '../../src/job/completion-window.ts';
import type { UpstreamHeaders } from '../../src/job/fields/upstream-headers.ts';
import type { AdvertisedLimits } from '../../src/quota/quota.ts';
import { boughtButTooLarge, boughtInBody, boughtInEvents } from './bought.ts';
import { type Capabilities, createCapabilities, type Mode, type Use } from './capabilities.ts';
import {
  AnswerTooLargeError,
  mayHaveBought,
  PurchaseUncertainError,
  refusesBackground,
  refusesStream,
  retryableFrom,
  unsentFrom,
} from './errors.ts';
import type { Wire } from './http/exchange.ts';
import type { RunningResponse, StreamEvent } from './running-response.ts';
import { windowRefusalFrom } from './window-refusal.ts';

/** Patience is how long the upstream may be silent before the worker acts on it, in milliseconds. */
export interface Patience {
  /**
   * How long a call may take until its answer, or in background mode until its first event, in milliseconds.
   * The upstream answers such calls at once, so this limit is only for a server that hangs. Too short a limit
   * buys a response twice. Default 60,000.
   */
  answerMs: number;
  /**
   * How long a background stream may be silent before the response is looked up, in milliseconds. OpenAI
   * sends an event every 30 s. Default 90,000.
   */
  silenceMs: number;
  /**
   * How long after a cancel or a shutdown a create may still return its id, in milliseconds: the id is worth
   * money. Default 3,000.
   */
  graceMs: number;
  /**
   * How long a create in the foreground keeps its slot, in milliseconds. The answer to such a create may come
   * as late as the model's answer. Default 2000.
   */
  slotMs: number;
  /**
   * How long lookups of a response may be answered with 404, in milliseconds. After that the worker treats
   * the response as lost and buys again. A server's storage may be slow, and a proxy may be wrong for a
   * while. Default 60,000.
   */
  lostMs: number;
}

export interface CreateOptions {
  /** Whether to follow the response's events instead of polling, if the server can stream. */
  stream: boolean;
  /**
   * Ends the connection, in background mode `graceMs` later. The attempt aborts this signal at its own time
   * limit.
   */
  signal: AbortSignal;
  /** Called when the create gives up its slot before it is answered. */
  onSlow?: () => void;
  /** What the configuration says about the server's capabilities. Default: `auto` for both. */
  use?: { background: Use; stream: Use };
  /** Default: none. */
  headers?: UpstreamHeaders;
}

/**
 * CreateCall buys a response.
 * @throws {Failure} when nothing was bought.
 * @throws {PurchaseUncertainError} when it is unknown whether something was bought.
 */
export type CreateCall = (body: Record<string, unknown>, options: CreateOptions) => Promise<RunningResponse>;

/** Reply is the server's answer: a stream, or a whole body. */
export type Reply = { limits: AdvertisedLimits; simulated: boolean } & (
  | { kind: 'events'; events: AsyncGenerator<StreamEvent> }
  | { kind: 'body'; body: string; contentType: string }
);

/**
 * Send sends one create request. When `connection` aborts, the request ends. When `signal` aborts, the stream
 * of the answer ends; in background mode a long silence of the upstream ends the stream too.
 */
export type Send = (
  parameters: Record<string, unknown>,
  options: {
    connection: AbortController;
    signal: AbortSignal;
    /**
     * How long the answer may take in background mode, in milliseconds; undefined: the foreground has no
     * limit.
     */
    answerMs: number | undefined;
    headers: UpstreamHeaders;
    /** Is told whether the request was sent. */
    wire: Wire;
  },
) => Promise<Reply>;

/**
 * createCreateCall returns a create call that uses background mode and streams if the server supports them.
 * The call learns this from the first answers for a model, and does not try again for each job.
 */
export function createCreateCall(send: Send, patience: Patience): CreateCall {
  const byModel = new Map<unknown, Capabilities>();
  const capabilitiesOf = (model: unknown): Capabilities => {
    const capabilities = byModel.get(model) ?? createCapabilities(patience.answerMs);
    byModel.set(model, capabilities);
    return capabilities;
  };
  return async (
    body,
    { stream, signal, onSlow, use = { background: 'auto', stream: 'auto' }, headers = {} },
  ) => {
    const capabilities = capabilitiesOf(body['model']);
    const isWindowed = windowIn(body) !== undefined;
    // A completion window requires background mode without a stream, even to find out what the server can do.
    const mode = isWindowed
      ? { background: use.background !== 'never', stream: false }
      : capabilities.modeFor(stream, use);
    const refused: (keyof Mode)[] = [];
    for (;;) {
      try {
        const running = await post(send, body, { ...mode, signal, patience, capabilities, onSlow, headers });
        // Only now is it certain that the server refused this capability, and nothing else about the request.
        for (const capability of refused)
          if (capability === 'stream' || body['store'] !== false) capabilities.lacks(capability);
        if (running.background) capabilities.hasBackground();
        else if (mode.background) capabilities.lacks('background');
        return running;
      } catch (error: unknown) {
        if (isWindowed) throw windowRefusalFrom(error) ?? error;
        const capability = refusedBy(error, mode);
        if (capability === undefined || use[capability] === 'always') throw error;
        refused.push(capability);
        mode[capability] = false;
      }
    }
  };
}

/** Returns the capability that a refusal is about; undefined: none that the request used. */
function refusedBy(error: unknown, mode: Mode): keyof Mode | undefined {
  if (mode.stream && refusesStream(error)) return 'stream';
  return mode.background && refusesBackground(error) ? 'background' : undefined;
}

interface PostOptions extends Mode {
  signal: AbortSignal;
  patience: Patience;
  capabilities: Capabilities;
  onSlow: (() => void) | undefined;
  headers: UpstreamHeaders;
}

async function post(
  send: Send,
  body: Record<string, unknown>,
  { background, stream, signal, patience, capabilities, onSlow, headers }: PostOptions,
): Promise<RunningResponse> {
  const sentAt = performance.now();
  const isSilent = background && !stream && !capabilities.showsBackground();
  const answerMs = capabilities.answerMs(isSilent);
  const connection = new AbortController();
  const wire: Wire = { isSent: false };
  const end = (): void => connection.abort();
  let late = false;
  const giveUp = (): void => {
    late = true;
    end();
  };
  const answerTimer = background ? setTimeout(giveUp, answerMs) : undefined;
  const mayBeSlow = !background || isSilent;
  const slotTimer = mayBeSlow && onSlow !== undefined ? setTimeout(onSlow, patience.slotMs) : undefined;
  let graceTimer: NodeJS.Timeout | undefined;
  const endSoon = (): void => {
    graceTimer = setTimeout(end, background ? patience.graceMs : 0);
  };
  if (signal.aborted) endSoon();
  signal.addEventListener('abort', endSoon, { once: true });
  try {
    const parameters = { ...body, stream, ...(background && { background, store: body['store'] ?? true }) };
    const limitMs = background ? answerMs : undefined;
    const reply = await send(parameters, { connection, signal, answerMs: limitMs, headers, wire });
    const asked = { background, stream, upstreamModel: String(body['model']) };
    const running =
      reply.kind === 'body'
        ? boughtInBody(reply, asked)
        : await boughtInEvents(reply.events, () => answerTimer?.refresh());
    if (background) capabilities.answered(performance.now() - sentAt);
    return { ...running, limits: reply.limits, simulated: reply.simulated };
  } catch (error: unknown) {
    end();
    if (error instanceof AnswerTooLargeError) return boughtButTooLarge(error);
    // Nothing was sent, so nothing was bought, no matter what ended the request.
    if (!wire.isSent) throw signal.aborted ? error : unsentFrom(error);
    if (late) {
      capabilities.answered(undefined);
      throw new PurchaseUncertainError(tooLate(answerMs, error));
    }
    if (mayHaveBought(error)) throw new PurchaseUncertainError(retryableFrom(error));
    throw error;
  } finally {
    clearTimeout(answerTimer);
    clearTimeout(slotTimer);
    clearTimeout(graceTimer);
    signal.removeEventListener('abort', endSoon);
  }
}

function tooLate(answerMs: number, cause: unknown): RetryableError {
  return new RetryableError('connection_lost', `The upstream did not answer within ${answerMs / 1000} s`, {
    cause,
  });
}
