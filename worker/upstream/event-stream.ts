import { RetryableError } from '../../src/errors/failure.ts';
import { failureFromSdk } from './errors.ts';
import type { StreamEvent } from './running-response.ts';

/**
 * withConnection makes a call on a connection that ends with the signal, or when the answer takes too long.
 * The SDK's own timeout covers only the time until the headers. The SDK also adds a listener to the signal
 * for every call and never removes it, and an hour of polling is a thousand calls.
 */
export async function withConnection<Output>(
  signal: AbortSignal | undefined,
  answerMs: number,
  call: (connection: AbortController) => Promise<Output>,
): Promise<Output> {
  const connection = new AbortController();
  const end = (): void => connection.abort();
  if (signal?.aborted) end();
  signal?.addEventListener('abort', end, { once: true });
  const timer = setTimeout(end, answerMs);
  try {
    return await call(connection);
  } catch (error: unknown) {
    if (!connection.signal.aborted || signal?.aborted) throw error;
    throw new RetryableError('connection_lost', `The upstream did not answer within ${answerMs / 1000} s`, {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', end);
  }
}

/** Connection says what ends a stream of events, and when. */
export interface Connection {
  connection: AbortController;
  signal: AbortSignal;
  /** The longest pause between two events, in milliseconds; undefined: a pause may have any length. */
  silenceMs: number | undefined;
  /**
   * Whether the signal ends the stream only after its first event. That event brings the id of a response
   * that was paid for.
   */
  firstEventFirst: boolean;
  yieldWhenBusy: YieldWhenBusy;
}

/**
 * connected yields events until the signal or a long silence of the server ends the connection. The stream
 * then ends without an error. Time in which the reader is busy with an event does not count as silence.
 */
export async function* connected(
  events: AsyncIterable<StreamEvent>,
  { connection, signal, silenceMs, firstEventFirst, yieldWhenBusy }: Connection,
): AsyncGenerator<StreamEvent> {
  let silence: NodeJS.Timeout | undefined;
  const end = (): void => {
    clearTimeout(silence);
    silence = undefined;
    connection.abort();
  };
  let obeys = false;
  const obey = (): void => {
    if (obeys) return;
    obeys = true;
    if (signal.aborted) end();
    signal.addEventListener('abort', end, { once: true });
  };
  // One timer for the whole stream: a new one for each of thousands of events a second would cost too much.
  let reading = true;
  const listen = (): void => {
    if (reading) end();
    else silence?.refresh();
  };
  if (silenceMs !== undefined) silence = setTimeout(listen, silenceMs).unref();
  if (!firstEventFirst) obey();
  try {
    for await (const event of events) {
      reading = false;
      if (event.type !== 'keepalive') obey();
      const pause = yieldWhenBusy();
      if (pause !== undefined) await pause;
      yield event;
      reading = true;
      silence?.refresh();
    }
  } catch (error: unknown) {
    throw failureFromSdk(error) ?? error;
  } finally {
    signal.removeEventListener('abort', end);
    end();
  }
}

/**
 * YieldWhenBusy returns a promise when the process has been busy for long. A reader awaits it, so that timers
 * and other connections get their turn.
 */
export type YieldWhenBusy = () => Promise<void> | undefined;

/**
 * createYieldWhenBusy returns the one `YieldWhenBusy` that all streams of a process share. Streams are read
 * in microtasks, which run before anything else. When thousands of streams have events at once, reading them
 * may take seconds, and no lock would be renewed in that time.
 *
 * @param busyMs for how long all streams together may go on without a pause, in milliseconds.
 */
export function createYieldWhenBusy(busyMs: number): YieldWhenBusy {
  let begunAt = performance.now();
  let pause: Promise<void> | undefined;
  return () => {
    if (pause === undefined && performance.now() - begunAt < busyMs) return undefined;
    pause ??= new Promise((resolve) => {
      setImmediate(() => {
        pause = undefined;
        begunAt = performance.now();
        resolve();
      });
    });
    return pause;
  };
}
