import { createHmac } from 'node:crypto';
import { createKeyring } from '../../../producer/access/keyring.ts';
import { type Answer, type CallOptions, call, expectProblem } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const ADMIN = 'the-key-of-the-administrator';
const ALICE = 'the-key-of-alice-1234';
const keys = [
  { name: 'admin', secret: ADMIN },
  { name: 'alice', secret: ALICE },
];
const SAME_ORIGIN = { 'sec-fetch-site': 'same-origin' };
const PAGE = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

let instance: Instance;
beforeAll(async () => {
  instance = await startInstance({ keys, workers: 0 });
});
afterAll(() => instance.stop());

/** What the form of the login page sends. */
function logIn(key: string, more: { url?: string; next?: string; headers?: Record<string, string> } = {}) {
  const { url = instance.url, next = '/board', headers = SAME_ORIGIN } = more;
  return call(url, 'POST', '/login', {
    body: new URLSearchParams({ key, next }).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
  });
}

/** As a browser would send them back. */
function cookiesOf(answer: Answer): string {
  const set = answer.headers['set-cookie'];
  if (!Array.isArray(set)) throw new Error(`cookies were expected, got ${JSON.stringify(answer.headers)}`);
  return set.map((cookie) => cookie.split(';')[0]).join('; ');
}

const keyIdOf = (name: string, secret: string) =>
  createKeyring({ keys: [{ name, secret }] }).callerOf(secret)?.keyId ?? '';
const sessionOf = async (key: string): Promise<string> => cookiesOf(await logIn(key));

function withSession(
  cookie: string,
  method: string,
  path: string,
  { headers, ...options }: CallOptions = {},
): Promise<Answer> {
  return call(instance.url, method, path, { ...options, headers: { cookie, ...headers } });
}

describe('the login page', () => {
  it.each(['/', '/board', '/board/queue/o3?status=failed'])(
    'is where %s redirects a browser',
    async (path) => {
      const answer = await call(instance.url, 'GET', path, { headers: PAGE });
      expect(answer.status).toBe(303);
      expect(answer.headers['location']).toBe(`/login?next=${encodeURIComponent(path)}`);
    },
  );

  it('is not for programs, nor for paths that are not pages', async () => {
    for (const headers of [{}, { accept: '*/*' }, { accept: 'application/json' }]) {
      expectProblem(await call(instance.url, 'GET', '/board', { headers }), 401, 'unauthorized');
    }
    expectProblem(await call(instance.url, 'POST', '/board', { headers: PAGE }), 401, 'unauthorized');
    expectProblem(await call(instance.url, 'GET', '/jobs', { headers: PAGE }), 401, 'unauthorized');
  });

  it('needs no script and no foreign content, and escapes what it repeats', async () => {
    const next = `/board?"'><script>alert(1)</script>`;
    const answer = await call(instance.url, 'GET', `/login?next=${encodeURIComponent(next)}`);
    expect(answer).toMatchObject({
      status: 200,
      headers: {
        'content-type': 'text/html; charset=utf-8',
        'cache-control': 'no-store',
        'content-security-policy': expect.stringMatching(
          /^default-src 'none'; style-src 'sha256-\S+'; form-action 'self'/,
        ),
      },
    });
    expect(answer.body).not.toMatch(/<script|src=|url\(|"'>/);
  });

  it.each([
    '//evil.example',
    '/\\evil.example',
    'https://evil.example',
    '/.//evil.example',
    'javascript:alert(1)',
  ])('does not lead to another site, as %s would', async (next) => {
    expect(await logIn(ALICE, { next })).toMatchObject({ status: 303, headers: { location: '/' } });
    const page = await call(instance.url, 'GET', `/login?next=${encodeURIComponent(next)}`);
    expect(page.body).toContain('name="next" value="/"');
  });
});

describe('a login', () => {
  it('gives a cookie that no script and no other site can use, and redirects', async () => {
    const answer = await logIn(ADMIN, { next: '/board/queue/o3?status=failed' });
    expect(answer).toMatchObject({ status: 303, headers: { location: '/board/queue/o3?status=failed' } });
    const cookies = answer.headers['set-cookie'] as string[];
    expect(cookies.map((cookie) => cookie.split('=')[0])).toEqual(['o3q_session', 'o3q_session.sig']);
    for (const cookie of cookies) {
      expect(cookie).toMatch(/; path=\/; expires=[^;]+; samesite=strict; httponly$/);
      const expires = Date.parse(/expires=([^;]+)/.exec(cookie)?.[1] ?? '');
      expect(Math.round((expires - Date.now()) / 3_600_000)).toBe(12);
      expect(cookie).not.toContain(ADMIN);
    }
  });

  it.each(['', 'the-key-of-nobody-1234', ALICE.slice(1)])(
    'is refused on the page with the key %j',
    async (key) => {
      const answer = await logIn(key, { headers: { ...SAME_ORIGIN, ...PAGE } });
      expect(answer).toMatchObject({ status: 401, body: expect.stringContaining('This key is unknown') });
      expect(answer.headers['set-cookie']).toBeUndefined();
      expect(answer.body).toContain('name="next" value="/board"');
    },
  );

  it('is refused when it is not a form, or too large', async () => {
    expect(await call(instance.url, 'POST', '/login', { body: { key: ADMIN } })).toMatchObject({
      status: 401,
    });
    expect(await logIn(ADMIN.repeat(1000))).toMatchObject({ status: 413 });
  });

  it('is refused from the page of another site, which could log the visitor in as its author', async () => {
    for (const headers of [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: 'null' },
    ]) {
      const answer = await logIn(ALICE, { headers });
      expectProblem(answer, 403, 'forbidden');
      expect(answer.headers['set-cookie']).toBeUndefined();
    }
  });
});

describe('a session', () => {
  it('reads what its key can read: a tenant sees only its own jobs', async () => {
    const [admin, alice] = await Promise.all([sessionOf(ADMIN), sessionOf(ALICE)]);
    const { body } = await withSession(alice, 'POST', '/jobs', {
      body: { question: 'Mine?' },
      headers: SAME_ORIGIN,
    });
    expect(body).toMatchObject({ tenant: 'alice' });
    expect(await withSession(alice, 'GET', '/jobs')).toMatchObject({
      status: 200,
      body: { jobs: [{ tenant: 'alice' }] },
    });
    expect(await withSession(admin, 'GET', '/board', { headers: PAGE })).toMatchObject({ status: 200 });
    expect(await withSession(admin, 'GET', '/login')).toMatchObject({
      body: expect.stringContaining('Logged in as admin'),
    });
    const board = await withSession(alice, 'GET', '/board', { headers: PAGE });
    expect(board).toMatchObject({ status: 403, body: expect.stringContaining('The board is for admin') });
    expectProblem(await withSession(alice, 'GET', '/board/api/queues'), 403, 'forbidden');
  });

  it.each([
    ['POST', '/jobs'],
    ['POST', '/jobs/some/cancel'],
    ['DELETE', '/jobs/some'],
    ['PUT', '/board/api/queues/o3/resume'],
  ])('does not let the page of another site %s %s', async (method, path) => {
    const cookie = await sessionOf(ADMIN);
    const host = new URL(instance.url).host;
    const refused = [
      {},
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'none' },
      { 'sec-fetch-site': 'cross-site', origin: `http://${host}` },
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: `http://${host}.evil.example` },
    ];
    for (const headers of refused) {
      expectProblem(await withSession(cookie, method, path, { headers }), 403, 'forbidden');
    }
    for (const headers of [SAME_ORIGIN, { origin: `http://${host}` }]) {
      const { status } = await withSession(cookie, method, path, { headers });
      expect([401, 403]).not.toContain(status);
    }
  });

  it('is ignored when the request has a key', async () => {
    const cookie = await sessionOf(ADMIN);
    const wrong = await withSession(cookie, 'GET', '/jobs', { headers: { authorization: 'Bearer wrong' } });
    expectProblem(wrong, 401, 'unauthorized');
    const alice = await withSession(cookie, 'GET', '/board', {
      headers: { authorization: `Bearer ${ALICE}` },
    });
    expectProblem(alice, 403, 'forbidden');
  });

  it('ends at the logout, which another site cannot request', async () => {
    const cookie = await sessionOf(ADMIN);
    expectProblem(
      await withSession(cookie, 'POST', '/logout', { headers: { 'sec-fetch-site': 'cross-site' } }),
      403,
      'forbidden',
    );
    const answer = await withSession(cookie, 'POST', '/logout', { headers: SAME_ORIGIN });
    expect(answer).toMatchObject({ status: 303, headers: { location: '/login' } });
    const emptied = cookiesOf(answer);
    expect(emptied).toMatch(/^o3q_session=; o3q_session\.sig=/);
    expectProblem(await withSession(emptied, 'GET', '/jobs'), 401, 'unauthorized');
  });

  it('cannot be forged, prolonged or changed to another tenant by its owner', async () => {
    const [cookie = '', signature = ''] = (await sessionOf(ALICE)).split('; ');
    const session = JSON.parse(
      Buffer.from(cookie.replace('o3q_session=', ''), 'base64').toString(),
    ) as object;
    expect(session).toEqual({ key: keyIdOf('alice', ALICE), until: expect.any(Number) });
    const forged = (changes: object) =>
      `o3q_session=${Buffer.from(JSON.stringify({ ...session, ...changes })).toString('base64')}; ` +
      `${signature}`;
    expect(await withSession(forged({}), 'GET', '/jobs')).toMatchObject({ status: 200 });
    const lies = [{ key: keyIdOf('admin', ADMIN) }, { until: 9e15 }, { key: 'unknown' }, { key: null }];
    for (const changes of lies) {
      expectProblem(await withSession(forged(changes), 'GET', '/jobs'), 401, 'unauthorized');
    }
    for (const odd of ['', 'o3q_session=; o3q_session.sig=', 'o3q_session=%%%; o3q_session.sig=x', cookie]) {
      expectProblem(await withSession(odd, 'GET', '/jobs'), 401, 'unauthorized');
    }
  });

  it('ends after its time, and cannot be signed with the key itself', async () => {
    const signedByAlice = (session: object): string => {
      const cookie = `o3q_session=${Buffer.from(JSON.stringify(session)).toString('base64')}`;
      const signingKey = createHmac('sha256', ALICE).update('o3-queue session').digest();
      return (
        `${cookie}; ` +
        `o3q_session.sig=${createHmac('sha256', signingKey).update(cookie).digest('base64url')}`
      );
    };
    const until = Date.now() + 60_000;
    const list = (session: object) => withSession(signedByAlice(session), 'GET', '/jobs');
    expect(await list({ key: keyIdOf('alice', ALICE), until })).toMatchObject({ status: 200 });
    for (const session of [
      { key: keyIdOf('alice', ALICE), until: Date.now() - 1 },
      { key: keyIdOf('alice', ALICE) },
      { key: keyIdOf('admin', ADMIN), until },
    ]) {
      expectProblem(await list(session), 401, 'unauthorized');
    }
  });

  it('ends when its key is changed, while others stay, and is valid at every producer', async () => {
    const [admin, alice] = await Promise.all([sessionOf(ADMIN), sessionOf(ALICE)]);
    const restarted = await startInstance({
      keys: [
        { name: 'alice', secret: ALICE },
        { name: 'admin', secret: 'another-key-of-the-administrator' },
        { name: 'carol', secret: 'the-key-of-carol-1234' },
      ],
      workers: 0,
      redis: instance.redis,
    });
    try {
      const list = (cookie: string) => call(restarted.url, 'GET', '/jobs', { headers: { cookie } });
      expectProblem(await list(admin), 401, 'unauthorized');
      expect(await list(alice)).toMatchObject({ status: 200 });
    } finally {
      await restarted.stop();
    }
  });
});

it('a client that guesses keys has to wait, and one that knows a key does not', async () => {
  const guarded = await startInstance({ keys, workers: 0, redis: instance.redis });
  try {
    for (let i = 0; i < 3; i += 1) {
      expect(await logIn(ALICE, { url: guarded.url })).toMatchObject({ status: 303 });
    }
    for (let i = 0; i < 10; i += 1) {
      expect(await logIn(`a-guess-number-${i}`, { url: guarded.url })).toMatchObject({ status: 401 });
    }
    const refused = await logIn('one-guess-too-many', { url: guarded.url });
    expectProblem(refused, 429, 'too_many_requests');
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    // Others behind the same address go on, with their keys and with new sessions.
    expect(await logIn(ALICE, { url: guarded.url })).toMatchObject({ status: 303 });
    const headers = { authorization: `Bearer ${ALICE}` };
    expect(await call(guarded.url, 'GET', '/jobs', { headers })).toMatchObject({ status: 200 });
    const logged = guarded.logLines.filter((line) => line.includes('wrong key'));
    expect(logged.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual([
      'a wrong key was sent',
      'too many wrong keys: this address gets 429 for a minute',
    ]);
    expect(guarded.logLines.filter((line) => line.includes('guess'))).toEqual([]);
  } finally {
    await guarded.stop();
  }
});
