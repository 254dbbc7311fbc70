import { Agent, type IncomingMessage, request } from 'node:http';
import { countIn } from './vital-signs.ts';

/** GreedyAnswer is the answer to a call of the greedy tenant. */
export interface GreedyAnswer {
  status: number;
  body: unknown;
}

/** GreedyCalls are the calls of the greedy tenant. What became of each is counted. */
export interface GreedyCalls {
  readonly url: URL;
  readonly headers: Record<string, string>;
  /** Aborts when the storm is to end. Every call then ends, too. */
  readonly stopping: AbortSignal;
  readonly counts: ReadonlyMap<string, number>;
  count(what: string): void;
  /**
   * Sends a call and reads the whole answer; undefined: its connection broke, or the storm ended.
   * @param own whether it has a connection of its own. Default false.
   */
  call(
    method: 'GET' | 'POST',
    path: string,
    body?: unknown,
    own?: boolean,
  ): Promise<GreedyAnswer | undefined>;
  /**
   * Sends a call on a connection of its own, and resolves when the headers of the answer are there. The
   * caller must read the answer.
   */
  open(method: 'GET' | 'POST', path: string, body?: unknown): Promise<IncomingMessage | undefined>;
  /** Does something again and again, in so many loops, until the storm ends. */
  loops(width: number, act: (turn: number) => Promise<void>): Promise<void>;
}

/** How many connections the calls share that have none of their own. */
const CONNECTIONS = 400;

/** isRefusal says whether a call was refused, or its connection broke. */
export function isRefusal(answer: GreedyAnswer | undefined): boolean {
  return answer === undefined || answer.status >= 400;
}

export function createGreedyCalls(url: URL, key: string, stopping: AbortSignal): GreedyCalls {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const counts = new Map<string, number>();
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const count = (what: string): void => countIn(counts, what);

  const send = (
    method: string,
    path: string,
    body: unknown,
    own: boolean,
  ): Promise<IncomingMessage | undefined> =>
    new Promise((resolve) => {
      const sent = request(new URL(path, url), {
        method,
        headers,
        agent: own ? false : agent,
        signal: stopping,
      });
      sent.once('response', resolve);
      sent.on('error', (error) => {
        if (!stopping.aborted) count(`${'code' in error ? String(error.code) : error.message}`);
        resolve(undefined);
      });
      sent.end(body === undefined ? undefined : body instanceof Buffer ? body : JSON.stringify(body));
    });
  const read = async (response: IncomingMessage): Promise<GreedyAnswer> => {
    const pieces: Buffer[] = [];
    for await (const piece of response) pieces.push(piece as Buffer);
    const status = response.statusCode ?? 0;
    const text = Buffer.concat(pieces).toString();
    const body: unknown = text.startsWith('{') ? JSON.parse(text) : undefined;
    count(status < 400 ? String(status) : `${status} ${codeIn(body)}`);
    return { status, body };
  };

  const calls: GreedyCalls = {
    url,
    headers,
    stopping,
    counts,
    count,
    async call(method, path, body, own = false) {
      const response = await send(method, path, body, own);
      return response && read(response).catch(() => undefined);
    },
    async open(method, path, body) {
      const response = await send(method, path, body, true);
      if (response === undefined) return undefined;
      // Otherwise the end of the storm, which breaks the connection, would be an unhandled error.
      response.on('error', () => {});
      if ((response.statusCode ?? 0) < 400) return response;
      await read(response).catch(() => {});
      return undefined;
    },
    async loops(width, act) {
      let turn = 0;
      const loop = async (): Promise<void> => {
        while (!stopping.aborted) {
          turn += 1;
          await act(turn);
        }
      };
      await Promise.all(Array.from({ length: width }, loop));
    },
  };
  return calls;
}

function codeIn(body: unknown): string {
  if (typeof body !== 'object' || body === null) return '';
  if ('code' in body) return String(body.code);
  return 'error' in body ? codeIn(body.error) : '';
}
