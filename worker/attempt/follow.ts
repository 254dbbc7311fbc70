import { type Failure, isFailure, RetryableError } from '../../src/errors/failure.ts';
import { outputOf, type UpstreamResponse } from '../../src/responses/response.ts';
import type { RunProgress } from '../../src/run/record.ts';
import type { Upstream } from '../upstream/client.ts';
import { createHeardEnd } from '../upstream/heard-end.ts';
import type { OpenAiEvents } from '../upstream/openai-events.ts';
import {
  hasEnded,
  hasUnknownStatus,
  type RunningResponse,
  type StreamEvent,
} from '../upstream/running-response.ts';
import { endOf, failureFromErrorEvent } from '../upstream/stream-events.ts';
import { createPollPlan, createWindowedPollPlan } from '../windows/poll-plan.ts';
import type { EventLogWriter } from './event-log-writer.ts';

/** FollowOptions say how to follow a response, and from which event on. */
export interface FollowOptions {
  upstream: Pick<Upstream, 'retrieve' | 'resume' | 'lostMs' | 'lookups' | 'windowedLookups'>;
  signal: AbortSignal;
  /** The sequence number of the last event that an earlier follower saw. */
  cursor: number | undefined;
  outputCharacters: number;
  /** When the response was created, by the clock of Redis, in Unix milliseconds. */
  createdAt: number;
  /** Returns the time of Redis, in Unix milliseconds. */
  now: () => number;
  /** How long the upstream may be silent, with no event and no answer to a lookup, in milliseconds. */
  stallMs: number;
  /** Whether the response was bought within a completion window, so that it is looked up seldom. */
  isWindowed: boolean;
  /**
   * Ends the pause between two lookups when a webhook announces the end of the response; undefined: there are
   * no webhooks.
   */
  openAiEvents: OpenAiEvents | undefined;
  /** When the response is cancelled if it still runs; undefined: never. */
  late?: Late | undefined;
  /** Records the events and the progress. */
  eventLogWriter: Pick<EventLogWriter, 'add'>;
  /** Called when a lookup shows a change, and once a minute while nothing changes. */
  onProgress: (progress: RunProgress) => Promise<void>;
}

/** Late says what happens to a polled response that has not ended when its answer is needed. */
export interface Late {
  /** When the answer is needed, by the clock of Redis, in Unix milliseconds. */
  at: number;
  /** Cancels the response. @returns the response as the upstream left it; null: the upstream did not say. */
  stop(): Promise<UpstreamResponse | null>;
}

/**
 * How long after its creation the stream of a background response can be resumed, in milliseconds. OpenAI
 * allows five minutes; half a minute is left for clocks that differ.
 */
const STREAMABLE_MS = 4.5 * 60_000;
/** After this many streams that broke without a new event, the response is polled. */
const FRUITLESS_STREAMS = 3;
const STILL_ALIVE_MS = 60_000;
/** A longer Retry-After is cut to this, because the response may end before the longer wait is over. */
const LONGEST_RETRY_AFTER_MS = 60_000;

/** Followed is the part of a response that `follow` needs. */
type Followed = Omit<RunningResponse, 'limits' | 'simulated'>;

/**
 * follow follows a response to its end. It reads the response's events, resumes the stream where it broke
 * off, and polls the response when it can no longer be streamed.
 * @throws {Failure} when the response is lost, and the signal's reason when the signal aborts.
 */
export async function follow(running: Followed, options: FollowOptions): Promise<UpstreamResponse> {
  if (hasEnded(running.response)) return running.response;
  const { cursor, outputCharacters } = options;
  const soFar = { cursor, outputCharacters, seenAt: options.now() };
  let { events } = running;
  for (let fruitless = 0; fruitless < FRUITLESS_STREAMS; ) {
    const before = soFar.cursor;
    const response = events && (await consume(events, soFar, running, options));
    options.signal.throwIfAborted();
    if (response !== undefined) return response;
    if (!running.background)
      throw new RetryableError('connection_lost', 'The stream ended before the answer did');
    if (!running.streamed || options.now() - options.createdAt > STREAMABLE_MS) break;
    // Without sequence numbers a resumed stream starts at its beginning, and its text would be added twice.
    if (soFar.cursor === undefined && soFar.outputCharacters > 0) break;
    if (events !== undefined && soFar.cursor === before) fruitless += 1;
    // When the resume fails, polling finds out whether the resume was refused or the upstream is unreachable.
    events = await options.upstream
      .resume(running.response.id, soFar.cursor, options.signal)
      .catch(() => undefined);
    if (events === undefined) break;
    if (running.events === undefined) {
      // The response is adopted. The record then shows that the job has not killed its worker right away.
      soFar.seenAt = options.now();
      await options.onProgress({ seenAt: soFar.seenAt });
    }
  }
  return poll(running.response.id, soFar.seenAt, options);
}

interface FollowState {
  cursor: number | undefined;
  outputCharacters: number;
  seenAt: number;
}

/**
 * @returns the final response; undefined when the stream broke off, so that only a lookup shows the
 * response's status.
 */
async function consume(
  events: AsyncGenerator<StreamEvent>,
  soFar: FollowState,
  { response, background }: Followed,
  { eventLogWriter, now }: FollowOptions,
): Promise<UpstreamResponse | undefined> {
  // A background response is looked up where its stream ends, so its end need not be judged.
  const heardEnd = background ? undefined : createHeardEnd();
  try {
    for await (const event of events) {
      soFar.seenAt = now();
      soFar.cursor = event.sequence_number ?? soFar.cursor;
      if (event.type === 'response.output_text.delta' && typeof event.delta === 'string') {
        soFar.outputCharacters += event.delta.length;
      }
      const ended = endOf(event, response);
      if (ended !== undefined) return ended;
      if (event.type === 'error' && !background) throw failureFromErrorEvent(event);
      heardEnd?.add(event);
      eventLogWriter.add(event, { ...soFar, upstreamStatus: event.response?.status ?? 'in_progress' });
    }
    // No lookup can return a foreground response, so its output is what was streamed.
    const status = heardEnd?.status();
    if (status !== undefined) return { ...response, status, output: [] };
  } catch (error: unknown) {
    // A background response goes on when its stream breaks. A foreground response ends with it.
    if (!background || !isFailure(error) || error.code === 'answer_too_large') throw error;
  }
  return undefined;
}

/**
 * poll looks the response up until it has ended: by its plan, and never more often than its turn among all
 * polled responses of this process comes. A response that is old already is looked up at once, and then as
 * seldom as if it had been polled from its beginning.
 */
async function poll(id: string, lastSeenAt: number, options: FollowOptions): Promise<UpstreamResponse> {
  const { upstream, signal, openAiEvents, onProgress, createdAt, stallMs, isWindowed, late } = options;
  const turns = (isWindowed ? upstream.windowedLookups : upstream.lookups).join(signal);
  const stopListening = openAiEvents?.watch(id, turns.wake);
  // Durations go by the monotonic clock, because the clock of the machine may be set back.
  let aliveAt = performance.now() - Math.max(0, options.now() - lastSeenAt);
  let missingSince: number | undefined;
  let unknownSince: number | undefined;
  let reported: { status: string | undefined; at: number } = { status: undefined, at: performance.now() };
  try {
    // A response that was just created has not ended yet.
    const ageMs = (): number => options.now() - createdAt;
    const plan = isWindowed ? createWindowedPollPlan(ageMs()) : createPollPlan(ageMs());
    let isWoken = await turns.next(plan.firstMs);
    signal.throwIfAborted();
    for (;;) {
      const { response, refusal, isMissing, pollAfterMs } = await look(id, upstream, signal);
      signal.throwIfAborted();
      if (response !== undefined && hasEnded(response)) {
        turns.succeed();
        return response;
      }
      // A lookup has shown that the response runs. Without an answer of the upstream nothing is cancelled.
      const isLate = late !== undefined && options.now() >= late.at;
      const stopped = isLate && response !== undefined ? await late.stop() : null;
      signal.throwIfAborted();
      if (stopped !== null && hasEnded(stopped)) return stopped;
      const now = performance.now();
      if (response !== undefined && hasUnknownStatus(response)) {
        unknownSince ??= now;
        if (now - unknownSince >= upstream.lostMs) return endOfUnknown(response);
      } else if (response !== undefined) unknownSince = undefined;
      missingSince = isMissing ? (missingSince ?? now) : undefined;
      if (missingSince !== undefined && now - missingSince >= upstream.lostMs) throw lost(id, refusal);
      // A rate limit shows that the upstream is there, although it says nothing about the response.
      if (response !== undefined || refusal?.code === 'rate_limited') aliveAt = now;
      else if (now - aliveAt >= stallMs) throw silent(id, stallMs, refusal);
      if (
        response !== undefined &&
        (response.status !== reported.status || now - reported.at >= STILL_ALIVE_MS)
      ) {
        reported = { status: response.status, at: now };
        await onProgress({ upstreamStatus: response.status, seenAt: options.now() });
      }
      const retryAfterMs = refusal instanceof RetryableError ? (refusal.retryAfterMs ?? 0) : 0;
      const askedForMs = Math.min(retryAfterMs, LONGEST_RETRY_AFTER_MS);
      const state = { ageMs: ageMs(), pollAfterMs, isMissing: missingSince !== undefined };
      // A late response that the upstream did not cancel has probably just ended.
      const { pauseMs, leastMs } = plan.next({ ...state, isWoken: isWoken || isLate });
      const untilLateMs = late === undefined || isLate ? pauseMs : late.at - options.now();
      const cutMs = Math.min(pauseMs, Math.max(0, untilLateMs));
      isWoken = await turns.next(askedForMs + cutMs, askedForMs + Math.min(leastMs, cutMs));
      signal.throwIfAborted();
    }
  } finally {
    stopListening?.();
    turns.leave();
  }
}

/**
 * endOfUnknown ends a response that has had an unknown status for too long. A response with an output becomes
 * completed, any other becomes failed.
 */
function endOfUnknown(response: UpstreamResponse): UpstreamResponse {
  if (outputOf(response).length > 0) return { ...response, status: 'completed' };
  const message = `the response has the status ${JSON.stringify(response.status)}, which OpenAI does not have`;
  return { ...response, status: 'failed', error: { code: 'unknown_status', message } };
}

function lost(id: string, refusal: Failure | undefined): RetryableError {
  const reason = refusal === undefined ? '' : `: ${refusal.message}`;
  return new RetryableError('response_lost', `The upstream has lost response ${id}${reason}`);
}

function silent(id: string, stallMs: number, refusal: Failure | undefined): RetryableError {
  const reason = refusal === undefined ? '' : `; the last lookup said: ${refusal.message}`;
  return new RetryableError(
    'upstream_silent',
    `The upstream gave no sign of response ${id} for ${stallMs / 1000} s${reason}`,
  );
}

/** Look is the result of one lookup. */
interface Look {
  response?: UpstreamResponse;
  refusal?: Failure;
  isMissing?: boolean;
  /** The pause for which the upstream has asked, in milliseconds. */
  pollAfterMs: number | undefined;
}

/**
 * look looks a response up once. A single refused lookup does not show that the response is lost. Only a 404,
 * or a refusal that no retry can change, may show that, and only when it comes again and again for long
 * enough.
 */
async function look(id: string, upstream: Pick<Upstream, 'retrieve'>, signal: AbortSignal): Promise<Look> {
  let pollAfterMs: number | undefined;
  try {
    const response = await upstream.retrieve(id, signal, (ms) => {
      pollAfterMs = ms;
    });
    return { response, pollAfterMs };
  } catch (error: unknown) {
    signal.throwIfAborted();
    if (!isFailure(error) || error.code === 'answer_too_large') throw error;
    return { pollAfterMs, refusal: error, isMissing: !error.retryable || error.refusal?.status === 404 };
  }
}
