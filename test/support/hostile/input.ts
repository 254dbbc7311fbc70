import { createHmac } from 'node:crypto';
import { connect } from 'node:net';
import { createKeyring } from '../../../producer/access/keyring.ts';
import { type Answer, type CallOptions, call } from '../http/http-calls.ts';
import { TIME_LIMIT_MS } from '../time-limit.ts';

/** The keys of the tenants. Alice has jobs, which the others must not see. */
export const KEYS = {
  admin: 'the-key-of-the-administrator',
  alice: 'the-key-of-alice-1234',
  bob: 'the-key-of-bob-123456',
} as const;
export type Tenant = keyof typeof KEYS;

export const OPENAI_SECRET = `whsec_${Buffer.from('a secret that OpenAI shares with us').toString('base64')}`;
/** The idempotency key of alice's job `waiting`. */
export const TAKEN_KEY = 'the-first-of-alice';

/** HostileWorld is the target of hostile inputs. */
export interface HostileWorld {
  url: string;
  /** The ids of alice's jobs. */
  jobs: { waiting: string; response: string; cancelled: string };
  /** Counts its callers; it listens on loopback, which no webhook may reach. */
  receiverUrl: string;
}

export type Expected =
  /** Our format: `application/problem+json`. */
  | { kind: 'problem'; status: number; code: string }
  /** OpenAI's own envelope. */
  | { kind: 'openai'; status: number; code: string | null }
  /** A page for a person. */
  | { kind: 'page'; status: number }
  /** The answer of Node's HTTP parser, to bytes that are not a request. */
  | { kind: 'bare'; status: number };

export type Send = (world: HostileWorld) => Promise<Answer>;

/**
 * HostileInput is what an attacker, a broken program or another tenant may send, and the one right answer to
 * it.
 */
export type HostileInput = [name: string, expected: Expected, send: Send];

export const problem = (status: number, code: string): Expected => ({ kind: 'problem', status, code });
export const openAi = (status: number, code: string | null): Expected => ({ kind: 'openai', status, code });
export const page = (status: number): Expected => ({ kind: 'page', status });
export const bare = (status: number): Expected => ({ kind: 'bare', status });

export const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` });

/** keyless sends a request without a key. */
export const keyless =
  (method: string, path: string, options: CallOptions = {}): Send =>
  ({ url }) =>
    call(url, method, path, options);

export const by = (tenant: Tenant, method: string, path: string, options: CallOptions = {}): Send =>
  keyless(method, path, { ...options, headers: { ...bearer(KEYS[tenant]), ...options.headers } });

/** The id of a tenant's key, as a session names it. */
export function keyIdOf(tenant: Tenant): string {
  const keyring = createKeyring({ keys: [{ name: tenant, secret: KEYS[tenant] }] });
  return keyring.callerOf(KEYS[tenant])?.keyId ?? '';
}

/** The cookies of a session that is signed with the key of that tenant, as a producer signs it. */
export function sessionOf(signer: Tenant, session: object): string {
  const cookie = `o3q_session=${Buffer.from(JSON.stringify(session)).toString('base64')}`;
  const key = createHmac('sha256', KEYS[signer]).update('o3-queue session').digest();
  return `${cookie}; o3q_session.sig=${createHmac('sha256', key).update(cookie).digest('base64url')}`;
}

export const goodSession = (tenant: Tenant): string =>
  sessionOf(tenant, { key: keyIdOf(tenant), until: 9e15 });

/** The bytes to send before checking for an early answer. */
const PIECE_BYTES = 8 * 1024;

/**
 * Sends bytes over a plain connection, which no HTTP client would send. `HOST` stands for the producer's
 * host.
 */
export const bytes =
  (...parts: (string | Buffer)[]): Send =>
  ({ url }) => {
    const { hostname, port, host } = new URL(url);
    const all = Buffer.concat(
      parts.map((part) =>
        typeof part === 'string' ? Buffer.from(part.replaceAll('HOST', host), 'latin1') : part,
      ),
    );
    return new Promise((resolve, reject) => {
      const begunAt = performance.now();
      const chunks: Buffer[] = [];
      const socket = connect(Number(port), hostname);
      const tooLong = () => socket.destroy(new Error(`no end of the answer within ${TIME_LIMIT_MS} ms`));
      const timer = setTimeout(tooLong, TIME_LIMIT_MS);
      let failure: Error | undefined;
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      // A server may answer and close the connection before it has read everything.
      socket.on('error', (error) => {
        failure = error;
      });
      socket.on('close', () => {
        clearTimeout(timer);
        try {
          resolve(answerIn(Buffer.concat(chunks).toString('latin1'), begunAt));
        } catch (error: unknown) {
          reject(failure ?? error);
        }
      });
      const sendFrom = (start: number): void => {
        if (start >= all.length || chunks.length > 0 || socket.destroyed) return;
        const next = () => setImmediate(() => sendFrom(start + PIECE_BYTES));
        socket.write(all.subarray(start, start + PIECE_BYTES), next);
      };
      socket.on('connect', () => sendFrom(0));
    });
  };

/** A request with the key of alice, up to its last header. */
export const alicesHead = (method: string, path: string, ...headers: string[]): string =>
  [
    `${method} ${path} HTTP/1.1`,
    'Host: HOST',
    `Authorization: Bearer ${KEYS.alice}`,
    'Connection: close',
    ...headers,
    '\r\n',
  ].join('\r\n');

/**
 * @throws when there is not exactly one answer: a second would answer a request smuggled inside the first.
 */
function answerIn(text: string, begunAt: number): Answer {
  const answers = text.match(/^HTTP\/1\.1 \d{3}/gm) ?? [];
  const [head = '', ...rest] = text.split('\r\n\r\n');
  if (answers.length !== 1) throw new Error(`expected one answer, got ${JSON.stringify(text.slice(0, 500))}`);
  const headers = Object.fromEntries(
    head
      .split('\r\n')
      .slice(1)
      .map((line): [string, string] => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
  );
  const whole = rest.join('\r\n\r\n');
  const body = utf8(headers['transfer-encoding'] === 'chunked' ? unchunked(whole) : whole);
  return {
    status: Number(answers[0]?.slice(-3)),
    headers,
    body: /[/+]json/.test(headers['content-type'] ?? '') ? (JSON.parse(body) as unknown) : body,
    tookMs: performance.now() - begunAt,
  };
}

function unchunked(text: string): string {
  const [size = ''] = text.split('\r\n', 1);
  const start = size.length + 2;
  const end = start + Number.parseInt(size, 16);
  return end > start ? text.slice(start, end) + unchunked(text.slice(end + 2)) : '';
}

const utf8 = (latin1: string): string => Buffer.from(latin1, 'latin1').toString();
