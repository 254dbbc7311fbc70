import { request } from 'node:http';

export interface SseMessage {
  event: string;
  data: unknown;
  id: string | undefined;
}

export interface SseReader extends AsyncIterable<SseMessage> {
  /** Drops the connection. */
  drop(): void;
}

export interface SseAnswer {
  status: number;
  contentType: string;
  messages: SseReader;
}

/** Opens a stream of server-sent events and reads it as a browser would. */
export function openSse(url: string, headers: Record<string, string> = {}): Promise<SseAnswer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers, agent: false }, (response) => {
      async function* messages(): AsyncGenerator<SseMessage> {
        let text = '';
        response.setEncoding('utf8');
        try {
          for await (const chunk of response) {
            text += String(chunk);
            for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
              const block = text.slice(0, end);
              text = text.slice(end + 2);
              const message = messageFrom(block);
              if (message !== undefined) yield message;
            }
          }
        } catch {
          // The stream was cut off: a reader reconnects for the rest.
        }
      }
      const iterator = messages();
      resolve({
        status: response.statusCode ?? 0,
        contentType: response.headers['content-type'] ?? '',
        messages: { [Symbol.asyncIterator]: () => iterator, drop: () => response.destroy() },
      });
    });
    sent.on('error', reject);
    sent.end();
  });
}

function messageFrom(block: string): SseMessage | undefined {
  const fields = new Map<string, string>();
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).replace(/^ /, ''));
  }
  const data = fields.get('data');
  if (data === undefined) return undefined;
  return { event: fields.get('event') ?? 'message', data: JSON.parse(data), id: fields.get('id') };
}

/** All messages up to the end of the stream. */
export async function readSse(url: string, headers: Record<string, string> = {}): Promise<SseMessage[]> {
  const { messages } = await openSse(url, headers);
  const read: SseMessage[] = [];
  for await (const message of messages) read.push(message);
  return read;
}
