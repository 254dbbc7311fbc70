import {
  anybody,
  goodSession,
  type HostileInput,
  KEYS,
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
): Send => anybody(method, path, { headers: { cookie, ...headers } });
const list = (cookie: string): Send => withCookie(cookie, 'GET', '/jobs');
const [alices = '', itsSignature = ''] = goodSession('alice').split('; ');

const cookies: HostileInput[] = [
  ['of a session without a signature', noKey, list(alices)],
  ['of a session with an empty signature', noKey, list(`${alices}; o3q_session.sig=`)],
  [
    'of a session that was made over to the admin',
    noKey,
    list(`${sessionOf('alice', { tenant: 'admin', until: 9e15 }).split(';')[0]}; ${itsSignature}`),
  ],
  ['that alice has signed for the admin', noKey, list(sessionOf('alice', { tenant: 'admin', until: 9e15 }))],
  ['that alice has signed for nobody', noKey, list(sessionOf('alice', { tenant: '__proto__', until: 9e15 }))],
  ['that is over', noKey, list(sessionOf('alice', { tenant: 'alice', until: Date.now() - 1 }))],
  ['that never ends', noKey, list(sessionOf('alice', { tenant: 'alice' }))],
  ['that ends in words', noKey, list(sessionOf('alice', { tenant: 'alice', until: '9e15' }))],
  ['of a list', noKey, list(sessionOf('alice', ['alice']))],
  ['of noise', noKey, list('o3q_session=%%%; o3q_session.sig=%00')],
  ['of a tenant at the board', forbidden, withCookie(goodSession('alice'), 'GET', '/board/api/queues')],
  [
    'of a tenant at the page of the board',
    page(403),
    withCookie(goodSession('alice'), 'GET', '/board', PAGE),
  ],
];

/** What the page of a stranger can make a browser send, in which the admin is logged in. */
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
const strangers: Record<string, string>[] = [
  { 'sec-fetch-site': 'cross-site' },
  { 'sec-fetch-site': 'same-site' },
  { origin: 'https://evil.example' },
  { origin: 'null' },
];
const crossSite: HostileInput[] = [
  ...writes.flatMap(([method, path]) =>
    strangers.map(
      (headers): HostileInput => [
        `${method} ${path} with ${JSON.stringify(headers)}`,
        forbidden,
        (world) => {
          const target = path
            .replace('WAITING', world.jobs.waiting)
            .replace('CANCELLED', world.jobs.cancelled);
          // A form needs nobody's leave to send this.
          const form = { ...headers, cookie: goodSession('admin'), 'content-type': 'text/plain' };
          return anybody(method, target, {
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
    anybody('POST', '/jobs', { body, headers: { cookie: goodSession('admin') } }),
  ],
  [
    'POST /jobs from another port of this host',
    forbidden,
    anybody('POST', '/jobs', {
      body,
      headers: { cookie: goodSession('admin'), origin: 'http://127.0.0.1:1' },
    }),
  ],
  [
    'POST /v1/responses from another site',
    openAi(403, 'forbidden'),
    anybody('POST', '/v1/responses', {
      body: { model: 'o3', input: 'Why?' },
      headers: { cookie: goodSession('admin'), 'sec-fetch-site': 'cross-site' },
    }),
  ],
  [
    'OPTIONS /jobs, to ask for leave',
    noKey,
    anybody('OPTIONS', '/jobs', {
      headers: { origin: 'https://evil.example', 'access-control-request-method': 'DELETE' },
    }),
  ],
  [
    'a login from another site',
    forbidden,
    anybody('POST', '/login', {
      body: `key=${KEYS.bob}`,
      headers: { ...FORM, 'sec-fetch-site': 'cross-site' },
    }),
  ],
  [
    'a login from a page without an origin',
    forbidden,
    anybody('POST', '/login', { body: `key=${KEYS.bob}`, headers: { ...FORM, origin: 'null' } }),
  ],
];

const logins: HostileInput[] = [
  [
    'with a key of nobody',
    page(401),
    anybody('POST', '/login', { body: 'key=the-key-of-nobody-1234', headers: FORM }),
  ],
  [
    'with two keys',
    page(401),
    anybody('POST', '/login', { body: `key=${KEYS.bob}&key=${KEYS.admin}`, headers: FORM }),
  ],
  [
    'with a key in the query',
    page(401),
    anybody('POST', `/login?key=${KEYS.admin}`, { body: '', headers: FORM }),
  ],
  [
    'with __proto__',
    page(401),
    anybody('POST', '/login', { body: '__proto__[key]=x&__proto__=x', headers: FORM }),
  ],
  [
    'of 100 kB',
    problem(413, 'body_too_large'),
    anybody('POST', '/login', { body: `key=${'x'.repeat(100_000)}`, headers: FORM }),
  ],
  [
    'of 5,000 fields',
    problem(400, 'invalid_request'),
    anybody('POST', '/login', { body: 'a&'.repeat(5000), headers: FORM }),
  ],
];

/** What browsers can be made to send in the name of who is logged in, and sessions that nobody has opened. */
export const hostileBrowsers: HostileInput[] = [
  ...cookies.map(([name, ...rest]): HostileInput => [`a cookie ${name}`, ...rest]),
  ...crossSite.map(([name, ...rest]): HostileInput => [`the page of a stranger: ${name}`, ...rest]),
  ...logins.map(([name, ...rest]): HostileInput => [`a login ${name}`, ...rest]),
];
