import { EventSourceParserStream } from 'eventsource-parser/stream';
import { sleep } from '../async/sleep.ts';
import { type JobEvent, standingOf } from '../job/event.ts';
import { isJsonObject } from '../job/exact-json.ts';
import { isJobView } from './answer.ts';
import { O3ClientError } from './client-error.ts';
import type { Transport } from './transport.ts';

/**
 * How long a connection may be silent, in milliseconds. The instance sends at least a comment every 15 s;
 * after three times as long without data the connection counts as dead.
 */
const SILENCE_MS = 45_000;
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 5000;

export interface EventStreamOptions {
  /** The number of the last event that the caller has seen; 0: the caller has seen none. */
  after: number;
  /**
   * How long to retry while the instance does not answer, in milliseconds. Each event starts this time again.
   */
  patienceMs: number;
  signal: AbortSignal | undefined;
}

/**
 * streamEvents reads the events of a job up to its end, each once. It reconnects as often as necessary.
 * @throws {O3ClientError}, or the signal's reason.
 */
export async function* streamEvents(
  transport: Transport,
  path: string,
  { after, patienceMs, signal }: EventStreamOptions,
): AsyncGenerator<JobEvent, void, undefined> {
  let last = after;
  let lastStanding: string | undefined;
  let goodAt = performance.now();
  for (let failures = 0; ; failures += 1) {
    const headers = { accept: 'text/event-stream', ...(last > 0 && { 'last-event-id': String(last) }) };
    try {
      for await (const event of connection(transport, path, headers, signal)) {
        if (event === 'end') return;
        goodAt = performance.now();
        failures = 0;
        if ('number' in event) last = event.number;
        if (event.type === 'status') {
          // Each connection begins with the job's status. After a reconnect the caller has already seen it.
          const standing = standingOf(event.data);
          if (standing === lastStanding) continue;
          lastStanding = standing;
        }
        yield event;
        if (event.type === 'done') return;
      }
    } catch (error: unknown) {
      signal?.throwIfAborted();
      if (!isPassing(error) || performance.now() - goodAt > patienceMs) throw error;
    }
    await sleep(Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures), signal);
  }
}

/** isPassing is true for broken connections, and for an instance that cannot serve right now. */
function isPassing(error: unknown): boolean {
  if (!(error instanceof O3ClientError)) return true;
  const { code, status = 0 } = error;
  return code === 'instance_unreachable' || status === 429 || (status >= 502 && status <= 504);
}

/**
 * Reads one connection, which may end or break at any time. `end`: the caller has already seen every event.
 */
async function* connection(
  transport: Transport,
  path: string,
  headers: Record<string, string>,
  signal: AbortSignal | undefined,
): AsyncGenerator<JobEvent | 'end'> {
  const controller = new AbortController();
  const follow = (): void => controller.abort(signal?.reason);
  signal?.addEventListener('abort', follow, { once: true });
  if (signal?.aborted) follow();
  const silence = setTimeout(() => controller.abort(new Error('no data for 45 s')), SILENCE_MS);
  try {
    const response = await transport.open(path, headers, controller.signal);
    if (response.status === 204 || response.body === null) {
      yield 'end';
      return;
    }
    const observed = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, next) {
        silence.refresh();
        next.enqueue(chunk);
      },
    });
    const messages = response.body
      .pipeThrough(observed)
      .pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>)
      .pipeThrough(new EventSourceParserStream());
    for await (const { event, data, id } of messages as unknown as AsyncIterable<Message>) {
      const typed = eventFrom(event, JSON.parse(data), Number(id));
      if (typed !== undefined) yield typed;
    }
  } finally {
    clearTimeout(silence);
    signal?.removeEventListener('abort', follow);
    controller.abort();
  }
}

interface Message {
  event?: string;
  data: string;
  id?: string;
}

/** @returns undefined for an event of a type that only a newer instance knows. */
function eventFrom(type: string | undefined, data: unknown, number: number): JobEvent | undefined {
  if (type === 'status' && isJobView(data)) return { type, data };
  if (type === 'done' && isJobView(data)) return { type, number, data };
  if (!isJsonObject(data) || typeof data['attempt'] !== 'number') return undefined;
  const { attempt, text, reason } = data as { attempt: number; text: unknown; reason: unknown };
  if ((type === 'delta' || type === 'reasoning') && typeof text === 'string') {
    return { type, number, data: { text, attempt } };
  }
  if (type === 'attempt') return { type, number, data: { attempt, reason: String(reason) } };
  return undefined;
}
