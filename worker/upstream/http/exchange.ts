import { pipeline, Readable, type Transform } from 'node:stream';
import { constants, createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { Dispatcher } from 'undici';
import { ConnectionBrokenError } from '../errors.ts';

/** Wire says whether a server may have read a request. */
export interface Wire {
  /**
   * Whether the request was written to a connected socket. Over TLS a socket is connected after its
   * handshake.
   *
   * A request on a kept-alive connection counts as sent, even if the server has closed that connection
   * meanwhile: a server that dies after it has read a request looks the same.
   */
  isSent: boolean;
}

export interface ExchangeRequest {
  method: string;
  headers: Record<string, string>;
  body: string | undefined;
  signal: AbortSignal;
  wire: Wire;
}

/** Reply is what a server answers, while its body is still coming. */
export interface Reply {
  readonly status: number;
  readonly ok: boolean;
  readonly url: string;
  readonly headers: Headers;
  /**
   * The body, decompressed. It must be read to its end, or `return()` must be called. A body that breaks off
   * throws a `ConnectionBrokenError`, also after the signal has aborted.
   */
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * exchange sends one request and resolves when the head of its reply has come. It follows no redirect and
 * never sends anything twice. The body is written in the same step in which the request gets its connection,
 * so `wire` is exact. (With a `fetch`, several steps and a stream of its own would lie between the two.)
 *
 * @throws the error of the connection, or the signal's reason.
 */
export function exchange(
  dispatcher: Dispatcher,
  url: string,
  { method, headers, body, signal, wire }: ExchangeRequest,
): Promise<Reply> {
  const { origin, pathname, search } = new URL(url);
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const handler = new ExchangeHandler(signal, wire, (error, head) => {
      if (head === undefined) reject(error);
      else resolve(replyFrom(url, head, handler));
    });
    dispatcher.dispatch(
      {
        ...{ origin, path: pathname + search, method: method as Dispatcher.HttpMethod, body: body ?? null },
        headers: { 'accept-encoding': 'gzip, br', ...headers },
      },
      handler,
    );
  });
}

interface Head {
  status: number;
  headers: Record<string, string | string[] | undefined>;
}

/** How much of a body may wait for its reader, in bytes, before the socket is read no further. */
const MOST_UNREAD_BYTES = 64 * 1024;

/** ExchangeHandler takes what undici reports about one request. It is also the body of the reply. */
class ExchangeHandler implements Dispatcher.DispatchHandler, AsyncIterableIterator<Uint8Array> {
  readonly #signal: AbortSignal;
  readonly #wire: Wire;
  #onHead: ((error: unknown, head?: Head) => void) | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #unread: Uint8Array[] = [];
  #unreadBytes = 0;
  #isEnded = false;
  #error: Error | undefined;
  #reader: { resolve(piece: IteratorResult<Uint8Array>): void; reject(error: Error): void } | undefined;

  constructor(signal: AbortSignal, wire: Wire, onHead: (error: unknown, head?: Head) => void) {
    this.#signal = signal;
    this.#wire = wire;
    this.#onHead = onHead;
    signal.addEventListener('abort', this, { once: true });
  }

  /** Called when the signal aborts. */
  handleEvent(): void {
    this.#controller?.abort(abortError(this.#signal));
    // Before there is a connection, undici cannot end a request: `onRequestStart` does.
    this.#end(abortError(this.#signal));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#signal.aborted) controller.abort(abortError(this.#signal));
    else this.#wire.isSent = true;
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: Head['headers']): void {
    // 1xx only announces the reply.
    if (status < 200) return;
    // Each of these bytes would hold the whole piece that was read from the socket, for as long as the reply
    // lasts: 4 KB.
    controller.rawHeaders = null;
    this.#onHead?.(undefined, { status, headers });
    this.#onHead = undefined;
  }

  onResponseData(controller: Dispatcher.DispatchController, piece: Uint8Array): void {
    if (this.#reader !== undefined) {
      this.#reader.resolve({ done: false, value: piece });
      this.#reader = undefined;
      return;
    }
    this.#unread.push(piece);
    this.#unreadBytes += piece.byteLength;
    if (this.#unreadBytes > MOST_UNREAD_BYTES) controller.pause();
  }

  onResponseEnd(): void {
    this.#end(undefined);
  }

  onResponseError(_: unknown, error: Error): void {
    this.#end(error);
  }

  #end(error: Error | undefined): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#signal.removeEventListener('abort', this);
    if (this.#onHead !== undefined) {
      this.#onHead(error ?? new Error('the connection closed without an answer'));
      this.#onHead = undefined;
      return;
    }
    if (error !== undefined) this.#error = new ConnectionBrokenError(error.message, { cause: error });
    if (this.#reader === undefined) return;
    if (this.#error === undefined) this.#reader.resolve({ done: true, value: undefined });
    else this.#reader.reject(this.#error);
    this.#reader = undefined;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const piece = this.#unread.shift();
    if (piece !== undefined) {
      this.#unreadBytes -= piece.byteLength;
      if (this.#unreadBytes === 0) this.#controller?.resume();
      return Promise.resolve({ done: false, value: piece });
    }
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#isEnded) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  /** Closes the connection, unless the body has come to its end. */
  return(): Promise<IteratorResult<Uint8Array>> {
    this.#unread = [];
    if (!this.#isEnded) this.#controller?.abort(new Error('the body is not read further'));
    return Promise.resolve({ done: true, value: undefined });
  }
}

function abortError({ reason }: AbortSignal): Error {
  return reason instanceof Error ? reason : new DOMException('The request was aborted', 'AbortError');
}

function replyFrom(url: string, { status, headers: fields }: Head, body: AsyncIterable<Uint8Array>): Reply {
  const headers = new Headers();
  for (const [name, value] of Object.entries(fields))
    for (const one of [value ?? []].flat()) headers.append(name, one);
  const ok = status >= 200 && status < 300;
  return { status, ok, url, headers, body: decompressed(body, headers.get('content-encoding')) };
}

const SYNC = { flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH };
const BROTLI_SYNC = {
  flush: constants.BROTLI_OPERATION_FLUSH,
  finishFlush: constants.BROTLI_OPERATION_FLUSH,
};
/** Each hands on at once what can be unpacked, because the events of a stream must not wait. */
const DECOMPRESSORS = new Map<string, () => Transform>([
  ['gzip', () => createGunzip(SYNC)],
  ['x-gzip', () => createGunzip(SYNC)],
  ['deflate', () => createInflate(SYNC)],
  ['br', () => createBrotliDecompress(BROTLI_SYNC)],
]);

/** Unpacks a body only as fast as it is read. A body in an unknown coding is returned as it is. */
function decompressed(body: AsyncIterable<Uint8Array>, codings: string | null): AsyncIterable<Uint8Array> {
  const names = (codings ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim());
  const steps = names.flatMap((name) => DECOMPRESSORS.get(name) ?? []);
  if (steps.length === 0 || steps.length < names.length) return body;
  const source = Readable.from(body, { objectMode: false });
  // The reader of the last stream gets the error of any of them.
  return pipeline([source, ...steps.reverse().map((step) => step())], () => {}) as unknown as Readable;
}
