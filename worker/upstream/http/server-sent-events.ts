import { AnswerTooLargeError } from '../errors.ts';
import type { Reply } from './exchange.ts';
import { type Reading, STREAM_FACTOR, textPieces } from './fetch.ts';

/**
 * SseMessage is one message of an event stream. A message without data is a comment: it only shows that the
 * server is alive.
 */
export interface SseMessage {
  /** The value of `event:`; undefined: the message has none. */
  name: string | undefined;
  data: string | undefined;
}

/** ReplyBody is the real content of a reply. The content type may be wrong. */
export type ReplyBody =
  | { kind: 'events'; messages: AsyncGenerator<SseMessage> }
  | { kind: 'json'; text: string };

const COMMENT: SseMessage = { name: undefined, data: undefined };
/** The beginning of an event stream. */
const FIRST_LINE = /^(:|(data|event|id|retry)[ :\r\n])/;
/** How many characters `FIRST_LINE` needs. */
const LONGEST_BEGINNING = 6;

/**
 * bodyOf reads a reply until its first characters tell a stream of events from JSON. The content type does
 * not tell: some proxies call streams `text/plain` or `application/json`, and some servers answer JSON
 * although a stream was requested.
 *
 * @param signal the signal of the connection. A body that ends because the signal aborts ends without an
 * error.
 * @throws {AnswerTooLargeError} here, or while the messages are read.
 */
export async function bodyOf(
  reply: Pick<Reply, 'headers' | 'body'>,
  signal: AbortSignal,
  reading: Reading,
): Promise<ReplyBody> {
  const isDeclared = reply.headers.get('content-type')?.includes('text/event-stream') ?? false;
  const { largestBytes, masked } = reading;
  const pieces = textPieces(reply.body, signal, largestBytes * STREAM_FACTOR);
  let text = '';
  for (;;) {
    if (isDeclared ? text !== '' : text.length >= LONGEST_BEGINNING) break;
    const { done, value } = await pieces.next();
    if (done) break;
    // Some servers send spaces while the model thinks. The spaces are dropped as they come.
    text = (text + value).trimStart();
  }
  const isJson = isDeclared ? /^[{[<]/.test(text) : !FIRST_LINE.test(text);
  if (!isJson) return { kind: 'events', messages: messagesIn(text, pieces, reading) };
  const all = [text];
  let characters = text.length;
  for await (const piece of pieces) {
    characters += piece.length;
    if (characters > largestBytes) throw new AnswerTooLargeError(largestBytes, text);
    all.push(piece);
  }
  return { kind: 'json', text: masked(all.join('')) };
}

/**
 * Reads messages as browsers do (https://html.spec.whatwg.org/multipage/server-sent-events.html). It also
 * reads messages that no blank line ends: the last one, and JSON objects that follow one another. A piece
 * without a line end is kept until the rest of its line arrives: an answer of 8 MB is one line, in hundreds
 * of pieces.
 */
async function* messagesIn(
  beginning: string,
  pieces: AsyncGenerator<string>,
  { largestBytes, masked }: Reading,
): AsyncGenerator<SseMessage> {
  let unfinished: string[] = [];
  /** Characters of the message that is being read. */
  let characters = 0;
  let isAfterReturn = false;
  let name: string | undefined;
  let data: string[] = [];
  const take = (): SseMessage => {
    const message = { name, data: masked(data.length === 1 ? (data[0] ?? '') : data.join('\n')) };
    name = undefined;
    data = [];
    characters = 0;
    return message;
  };
  for await (const piece of after(beginning, pieces)) {
    if (piece === '') continue;
    let text = isAfterReturn && piece.startsWith('\n') ? piece.slice(1) : piece;
    isAfterReturn = piece.endsWith('\r');
    if (text.includes('\r')) text = text.replaceAll(/\r\n?/g, '\n');
    unfinished.push(text);
    characters += text.length;
    if (characters > largestBytes) throw new AnswerTooLargeError(largestBytes, unfinished[0] ?? '');
    if (!text.includes('\n')) continue;
    const lines: string[] = unfinished.join('').split('\n');
    unfinished = [lines.pop() ?? ''];
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield take();
        name = undefined;
      } else if (line.startsWith(':')) yield COMMENT;
      else {
        const { field, value } = fieldIn(line);
        const isWhole = data.at(-1)?.endsWith('}') ?? false;
        if (field === 'data') {
          if (isWhole && value.startsWith('{')) yield take();
          data.push(value);
        } else if (field === 'event') {
          if (isWhole && name !== undefined) yield take();
          name = value;
        }
      }
    }
  }
  const { field, value } = fieldIn(unfinished.join(''));
  if (field === 'data') data.push(value);
  if (data.length > 0) yield take();
}

async function* after(first: string, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  yield first;
  yield* rest;
}

function fieldIn(line: string): { field: string; value: string } {
  const colon = line.indexOf(':');
  if (colon === -1) return { field: line, value: '' };
  return { field: line.slice(0, colon), value: line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1) };
}
