import { RetryableError } from '../../src/errors/failure.ts';
import { failureFromSdk } from './errors.ts';
import type { StreamEvent } from './running-response.ts';
import type { YieldWhenBusy } from './yield-when-busy.ts';

/**
 * A connection that ends with the signal, or when the answer takes too long: the SDK's own limit ends with the headers, and it would
 * add a listener to the signal for every call and never take it off. An hour of polling is a thousand of them.
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

export interface Connection {
  connection: AbortController;
  signal: AbortSignal;
  /** undefined: it may be silent for as long as it likes. */
  silenceMs: number | undefined;
  /** The first event brings an id that costs money: the signal has to wait for it. */
  firstEventFirst: boolean;
  breathe: YieldWhenBusy;
}

/** Events until the signal or the silence ends their connection; then they just end. The reader's own pauses do not count. */
export async function* connected(
  events: AsyncIterable<StreamEvent>,
  { connection, signal, silenceMs, firstEventFirst, breathe }: Connection,
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
  // One timer for the whole stream: another for each of thousands of events a second would be felt.
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
      obey();
      const pause = breathe();
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
