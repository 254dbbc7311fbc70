import { type AddressInfo, createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { O3ClientError } from '../../../src/client/client-error.ts';
import { O3Client } from '../../../src/client/o3-client.ts';
import { onFastClock } from '../../support/fast-clock.ts';
import { CERTIFICATE, CERTIFICATE_KEY } from '../../support/http/certificate.ts';
import { waiting } from '../../support/http/job-views.ts';
import {
  closeScripted,
  cut,
  json,
  noRedis,
  problem,
  type Step,
  startScripted,
  unusedUrl,
} from '../../support/worlds/scripted-instance.ts';

afterEach(closeScripted);

async function errorOf(call: Promise<unknown>): Promise<O3ClientError> {
  const outcome = await call.then(
    (value) => value,
    (error: unknown) => error,
  );
  if (outcome instanceof O3ClientError) return outcome;
  throw new Error(`Expected an O3ClientError, got ${String(outcome)}`);
}

/** The address of a server that closes every connection at its first byte, which is that of TLS. */
async function slammed(): Promise<string> {
  const server = createServer((socket) => socket.once('data', () => socket.destroy()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('a read', () => {
  it('is repeated after the time that a 503 asks for', async () => {
    const { url, seen } = await startScripted(noRedis({ 'retry-after-ms': '350' }), json(200, waiting));
    expect(await onFastClock(() => new O3Client({ url }).get('job-1'))).toEqual(waiting);
    expect(seen).toHaveLength(2);
    // Its own first wait would be 100 ms.
    expect((seen[1]?.at ?? 0) - (seen[0]?.at ?? 0)).toBeGreaterThanOrEqual(345);
  });

  it('is repeated when the connection breaks', async () => {
    const { url, seen } = await startScripted(cut, cut, json(200, { jobs: [waiting], next_cursor: null }));
    const page = await onFastClock(() => new O3Client({ url }).list());
    expect(page).toEqual({ jobs: [waiting], next_cursor: null });
    expect(seen).toHaveLength(3);
  });

  it('fails with the refusal of the instance when it should wait longer than its patience', async () => {
    const { url, seen } = await startScripted(noRedis({ 'retry-after': '30' }));
    const error = await errorOf(new O3Client({ url }).get('job-1'));
    expect(error).toMatchObject({
      code: 'redis_unavailable',
      status: 503,
      message: 'Redis does not answer',
    });
    expect(seen).toHaveLength(1);
  });

  it('fails in a bounded time when nothing answers, and says what to do', async () => {
    const url = await unusedUrl();
    const error = await errorOf(new O3Client({ url, readPatienceMs: 200 }).list());
    expect(error.code).toBe('instance_unreachable');
    expect(error.message).toMatch(`No o3-queue answers at ${url} (`);
    expect(error.message).toMatch('start one with `npm start` or set O3Q_URL');
  });

  it('says how to trust a certificate whose authority is unknown', async () => {
    const server = createTlsServer({ key: CERTIFICATE_KEY, cert: CERTIFICATE });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const error = await errorOf(new O3Client({ url, readPatienceMs: 0 }).list());
    server.close();
    expect(error.code).toBe('instance_unreachable');
    expect(error.message).toMatch(/self-signed certificate.*into NODE_EXTRA_CA_CERTS/);
  });
});

describe('enqueue', () => {
  it.each([
    ['a 503', noRedis({ 'retry-after-ms': '1' }), 'redis_unavailable'],
    ['a broken connection', cut, 'answer_lost'],
  ])('is never repeated after %s', async (_, step, code) => {
    const { url, seen } = await startScripted(step);
    const error = await errorOf(new O3Client({ url }).enqueue({ question: 'Why?' }));
    expect(error.code).toBe(code);
    expect(seen).toHaveLength(1);
  });

  it('tells a request that was never sent from one whose answer was lost', async () => {
    const unreachable = await errorOf(new O3Client({ url: await unusedUrl() }).enqueue({ question: 'Why?' }));
    expect(unreachable.code).toBe('instance_unreachable');

    const { url } = await startScripted(cut);
    const lost = await errorOf(new O3Client({ url }).enqueue({ question: 'Why?' }));
    expect(lost.message).toMatch('check with `o3q list` before you repeat it');
  });

  it.each<[string, () => Promise<string>]>([
    ['a port that fetch refuses', async () => 'http://127.0.0.1:9'],
    ['a name that does not exist', async () => 'http://no-such-host.invalid'],
    ['TLS on a plain port', async () => (await startScripted(cut)).url.replace('http:', 'https:')],
    ['a server that closes before TLS is agreed', slammed],
    ['an address to which no socket can be connected', async () => 'http://[fe80::1]:4000'],
  ])('does not say that the call may have been carried out: %s', async (_, address) => {
    const url = await address();
    const error = await errorOf(new O3Client({ url }).enqueue({ question: 'Why?' }));
    expect(error.code).toBe('instance_unreachable');
    expect(error.message).toMatch(`No o3-queue answers at ${url} (`);
    expect(error.message).not.toMatch('carried out');
  });

  it('names every flaw of a request that was refused', async () => {
    const flaws = [
      { path: 'priority', message: 'expected a whole number' },
      { path: '', message: 'expected a question' },
    ];
    const { url } = await startScripted(
      problem(400, 'invalid_request', 'The request was refused', { flaws }),
    );
    const error = await errorOf(new O3Client({ url }).enqueue({ question: 'Why?' }));
    expect(error.flaws).toEqual(flaws);
    expect(error.message).toBe(
      'The request was refused: priority: expected a whole number; expected a question',
    );
  });
});

describe('another server than an instance', () => {
  it('is recognised by its redirect, which is not followed', async () => {
    const elsewhere = await startScripted(json(200, waiting));
    const { url } = await startScripted((response) =>
      response.writeHead(301, { location: elsewhere.url }).end(),
    );
    const error = await errorOf(new O3Client({ url, apiKey: 'secret' }).get('job-1'));
    expect(error).toMatchObject({ code: 'unexpected_response', status: 301 });
    expect(error.message).toMatch(elsewhere.url);
    expect(elsewhere.seen).toEqual([]);
  });

  it.each<[string, Step]>([
    ['a page', (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>Hello</p>')],
    ['other JSON', json(200, { hello: 'world' })],
    ['a refusal without a code', json(401, { message: 'who are you?' })],
    ['nothing at all', (response) => response.writeHead(200).end()],
  ])('is recognised by %s', async (_, step) => {
    const { url } = await startScripted(step);
    const error = await errorOf(new O3Client({ url }).get('job-1'));
    expect(error.code).toBe('unexpected_response');
    expect(error.message).toMatch(`Expected an o3-queue at ${url}`);
  });
});

describe('a client', () => {
  it.each(['nonsense', 'ftp://host', 'http://'])('refuses the URL %j', (url) => {
    expect(() => new O3Client({ url })).toThrow(/^Expected the URL of an o3-queue/);
  });

  it('shows no secret in its refusals', () => {
    const make = (url: string, apiKey?: string) => () => new O3Client({ url, apiKey });
    expect(make('http://alice:hunter2@host')).toThrow(/^(?!.*hunter2).*without a user and a password/);
    expect(make('http://host', 'hunter2\nhunter3')).toThrow(/^(?!.*hunter).*printable ASCII/s);
  });
});
