import { type Answer, call } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const ADMIN = 'the-key-of-the-administrator';
const keys = [{ name: 'admin', secret: ADMIN }];
/** What a proxy with a certificate adds. */
const FORWARDED = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'queue.example.com' };
const FROM_OUR_PAGE = { origin: 'https://queue.example.com' };
const FAILED_LOGINS = 10;

let trusting: Instance;
let wary: Instance;
beforeAll(async () => {
  trusting = await startInstance({ keys, workers: 0, http: { trustProxy: ['loopback'] } });
  wary = await startInstance({
    keys,
    workers: 0,
    http: { trustProxy: ['10.0.0.0/8'] },
    redis: trusting.redis,
  });
});
afterAll(async () => {
  await wary.stop();
  await trusting.stop();
});

function logIn({ url }: Instance, key: string, headers: Record<string, string>): Promise<Answer> {
  return call(url, 'POST', '/login', {
    body: new URLSearchParams({ key, next: '/' }).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
  });
}

describe('X-Forwarded-* of a trusted proxy', () => {
  it('makes the session Secure, for a page of the host that the browser asked for', async () => {
    const { status, headers } = await logIn(trusting, ADMIN, { ...FORWARDED, ...FROM_OUR_PAGE });
    expect(status).toBe(303);
    for (const cookie of [headers['set-cookie']].flat()) expect(cookie).toContain('; secure;');
    const plain = await logIn(trusting, ADMIN, {});
    for (const cookie of [plain.headers['set-cookie']].flat()) expect(cookie).not.toContain('secure');
  });

  it('counts wrong keys by the address of the caller', async () => {
    const from = (address: string) => logIn(trusting, 'wrong', { 'x-forwarded-for': address });
    for (let i = 0; i < FAILED_LOGINS; i += 1)
      expect(await from('203.0.113.1')).toMatchObject({ status: 401 });
    expect(await from('203.0.113.1')).toMatchObject({ status: 429 });
    // A caller can write any address before the one that the proxy adds.
    expect(await from('203.0.113.9, 203.0.113.1')).toMatchObject({ status: 429 });
    expect(await from('203.0.113.2')).toMatchObject({ status: 401 });
    expect(trusting.logLines.filter((line) => line.includes('"address":"203.0.113.1"'))).toHaveLength(2);
  });
});

describe('X-Forwarded-* of any other sender', () => {
  it('changes neither the session nor what counts as a page of this instance', async () => {
    expect(await logIn(wary, ADMIN, { ...FORWARDED, ...FROM_OUR_PAGE })).toMatchObject({ status: 403 });
    const { status, headers } = await logIn(wary, ADMIN, FORWARDED);
    expect(status).toBe(303);
    for (const cookie of [headers['set-cookie']].flat()) expect(cookie).not.toContain('secure');
  });

  it('does not hide its address', async () => {
    for (let i = 0; i <= FAILED_LOGINS; i += 1) {
      const answer = await logIn(wary, 'wrong', { 'x-forwarded-for': `203.0.113.${i}` });
      expect(answer).toMatchObject({ status: i < FAILED_LOGINS ? 401 : 429 });
    }
    expect(wary.logLines.join()).not.toContain('203.0.113');
  });
});
