import {
  goodSession,
  type HostileInput,
  KEYS,
  keyIdOf,
  keyless,
  openAi,
  page,
  problem,
  type Send,
  sessionOf,
} from './input.ts';

const forbidden = problem(403, 'forbidden');
const noKey = problem(401, 'unauthorized');
const body = { question: 'Who pays?' };
const PAGE = { accept: 'text/html' };
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

const withCookie = (
  cookie: string,
  method: string,
  path: string,
  headers: Record<string, string> = {},
): Send => keyless(method, path, { headers: { cookie, ...headers } });
const list = (cookie: string): Send => withCookie(cookie, 'GET', '/jobs');
const [alices = '', itsSignature = ''] = goodSession('alice').split('; ');

const cookies: HostileInput[] = [
  ['of a session without a signature', noKey, list(alices)],
  ['of a session with an empty signature', noKey, list(`${alices}; o3q_session.sig=`)],
  [
    'of a session that was made over to the admin',
    noKey,
    list(`${sessionOf('alice', { key: keyIdOf('admin'), until: 9e15 }).split(';')[0]}; ${itsSignature}`),
  ],
  [
    'that alice has signed for the admin',
    noKey,
    list(sessionOf('alice', { key: keyIdOf('admin'), until: 9e15 })),
  ],
  [
    'that alice has signed for an unknown key',
    noKey,
    list(sessionOf('alice', { key: '__proto__', until: 9e15 })),
  ],
  ['that is over', noKey, list(sessionOf('alice', { key: keyIdOf('alice'), until: Date.now() - 1 }))],
  ['that never ends', noKey, list(sessionOf('alice', { key: keyIdOf('alice') }))],
  ['that ends in words', noKey, list(sessionOf('alice', { key: keyIdOf('alice'), until: '9e15' }))],
  ['of a list', noKey, list(sessionOf('alice', ['alice']))],
  ['of noise', noKey, list('o3q_session=%%%; o3q_session.sig=%00')],
  ['of a tenant at the board', forbidden, withCookie(goodSession('alice'), 'GET', '/board/api/queues')],
  [
    'of a tenant at the page of the board',
    page(403),
    withCookie(goodSession('alice'), 'GET', '/board', PAGE),
  ],
];

/** Requests that a page of another site can make a browser send in which admin is logged in. */
const writes: [method: string, path: string][] = [
  ['POST', '/jobs'],
  ['POST', '/jobs/WAITING/cancel'],
  ['DELETE', '/jobs/CANCELLED'],
  ['PUT', '/board/api/queues/o3/pause'],
  ['PUT', '/board/api/queues/o3/empty'],
  ['POST', '/board/api/queues/o3/add'],
  ['DELETE', '/board'],
  ['POST', '/logout'],
];
const foreignHeaders: Record<string, string>[] = [
  { 'sec-fetch-site': 'cross-site' },
  { 'sec-fetch-site': 'same-site' },
  { origin: 'https://evil.example' },
  { origin: 'null' },
];
const crossSite: HostileInput[] = [
  ...writes.flatMap(([method, path]) =>
    foreignHeaders.map(
      (headers): HostileInput => [
        `${method} ${path} with ${JSON.stringify(headers)}`,
        forbidden,
        (world) => {
          const target = path
            .replace('WAITING', world.jobs.waiting)
            .replace('CANCELLED', world.jobs.cancelled);
          // A form can send this to any site without a preflight.
          const form = { ...headers, cookie: goodSession('admin'), 'content-type': 'text/plain' };
          return keyless(method, target, {
            headers: form,
            ...(method === 'POST' && { body: JSON.stringify(body) }),
          })(world);
        },
      ],
    ),
  ),
  [
    'POST /jobs that does not say where it comes from',
    forbidden,
    keyless('POST', '/jobs', { body, headers: { cookie: goodSession('admin') } }),
  ],
  [
    'POST /jobs from another port of this host',
    forbidden,
    keyless('POST', '/jobs', {
      body,
      headers: { cookie: goodSession('admin'), origin: 'http://127.0.0.1:1' },
    }),
  ],
  [
    'POST /v1/responses from another site',
    openAi(403, 'forbidden'),
    keyless('POST', '/v1/responses', {
      body: { model: 'o3', input: 'Why?' },
      headers: { cookie: goodSession('admin'), 'sec-fetch-site': 'cross-site' },
    }),
  ],
  [
    'OPTIONS /jobs, to ask for leave',
    noKey,
    keyless('OPTIONS', '/jobs', {
      headers: { origin: 'https://evil.example', 'access-control-request-method': 'DELETE' },
    }),
  ],
  [
    'a login from another site',
    forbidden,
    keyless('POST', '/login', {
      body: `key=${KEYS.bob}`,
      headers: { ...FORM, 'sec-fetch-site': 'cross-site' },
    }),
  ],
  [
    'a login from a page without an origin',
    forbidden,
    keyless('POST', '/login', { body: `key=${KEYS.bob}`, headers: { ...FORM, origin: 'null' } }),
  ],
];

const logins: HostileInput[] = [
  [
    'with an unknown key',
    page(401),
    keyless('POST', '/login', { body: 'key=the-key-of-nobody-1234', headers: FORM }),
  ],
  [
    'with two keys',
    page(401),
    keyless('POST', '/login', { body: `key=${KEYS.bob}&key=${KEYS.admin}`, headers: FORM }),
  ],
  [
    'with a key in the query',
    page(401),
    keyless('POST', `/login?key=${KEYS.admin}`, { body: '', headers: FORM }),
  ],
  [
    'with __proto__',
    page(401),
    keyless('POST', '/login', { body: '__proto__[key]=x&__proto__=x', headers: FORM }),
  ],
  [
    'of 100 kB',
    problem(413, 'body_too_large'),
    keyless('POST', '/login', { body: `key=${'x'.repeat(100_000)}`, headers: FORM }),
  ],
  [
    'of 5,000 fields',
    problem(400, 'invalid_request'),
    keyless('POST', '/login', { body: 'a&'.repeat(5000), headers: FORM }),
  ],
];

/** Requests that browsers can be made to send for a logged-in tenant, and forged sessions. */
export const hostileBrowsers: HostileInput[] = [
  ...cookies.map(([name, ...rest]): HostileInput => [`a cookie ${name}`, ...rest]),
  ...crossSite.map(([name, ...rest]): HostileInput => [`a page of another site: ${name}`, ...rest]),
  ...logins.map(([name, ...rest]): HostileInput => [`a login ${name}`, ...rest]),
];
