import { bearer, by, type HostileInput, KEYS, keyless, problem } from './input.ts';

const forbidden = problem(403, 'forbidden');
const noKey = problem(401, 'unauthorized');
const noJob = problem(404, 'job_not_found');
const noRoute = problem(404, 'route_not_found');
const invalid = problem(400, 'invalid_request');
const body = { question: 'Who pays?' };

const keys: HostileInput[] = [
  ['no key', noKey, keyless('POST', '/jobs', { body })],
  ['an empty key', noKey, keyless('POST', '/jobs', { body, headers: bearer('') })],
  ['an unknown key', noKey, keyless('POST', '/jobs', { body, headers: bearer('the-key-of-nobody-1234') })],
  ['a key without its end', noKey, keyless('GET', '/jobs', { headers: bearer(KEYS.alice.slice(0, -1)) })],
  ['two keys in one', noKey, keyless('GET', '/jobs', { headers: bearer(`${KEYS.alice},${KEYS.bob}`) })],
  [
    'a key as a password',
    noKey,
    keyless('GET', '/jobs', { headers: { authorization: `Basic ${btoa(`alice:${KEYS.alice}`)}` } }),
  ],
  [
    'a key in the query',
    noKey,
    keyless('POST', `/jobs?key=${KEYS.alice}&access_token=${KEYS.alice}`, { body }),
  ],
  [
    'a key in another header',
    noKey,
    keyless('POST', '/jobs', { body, headers: { 'x-api-key': KEYS.alice } }),
  ],
  ['a key in the body', noKey, keyless('POST', '/jobs', { body: { ...body, api_key: KEYS.alice } })],
  [
    'a claim to come from here',
    noKey,
    keyless('GET', '/jobs', {
      headers: { 'x-forwarded-for': '127.0.0.1', 'x-real-ip': '127.0.0.1', forwarded: 'for=127.0.0.1' },
    }),
  ],
  [
    'a claim to be the admin',
    noKey,
    keyless('GET', '/board/api/queues', {
      headers: { 'x-forwarded-user': 'admin', 'x-original-url': '/livez' },
    }),
  ],
  ['a path that begins openly', noKey, keyless('GET', '/livez/../jobs')],
  ['a path that looks open', noKey, keyless('GET', '/jobs/readyz')],
  // A name that was pointed at this machine. No browser sends our cookie to it.
  [
    'a host of another name',
    noKey,
    keyless('POST', '/jobs', {
      body,
      headers: { host: 'evil.example', origin: 'http://evil.example', 'sec-fetch-site': 'same-origin' },
    }),
  ],
  [
    'a host of another name at the board',
    noKey,
    keyless('GET', '/board', { headers: { host: 'evil.example' } }),
  ],
];

const ids: HostileInput[] = [
  ...[
    'job_00000000000000000000000000000000',
    'meta',
    'wait',
    'events',
    'id',
    '__proto__',
    'constructor',
    '*',
    '%00',
    '%7Bo3%7D:meta',
    'o3:1',
    '%0d%0aset-cookie:%20a=b',
    '..%2f..%2f..%2fetc%2fpasswd',
    '%2e%2e%2f',
    '%F0%9F%A6%84',
    `a${'%00'.repeat(1000)}`,
  ].flatMap((id): HostileInput[] => [
    [`the id ${id.slice(0, 40)}`, noJob, by('alice', 'GET', `/jobs/${id}/result?wait=1`)],
    [`forgetting the id ${id.slice(0, 40)}`, noJob, by('admin', 'DELETE', `/jobs/${id}`)],
  ]),
  ...['%', '%E0%A4%A', '%c0%ae%c0%ae', '%ed%a0%80', '%u0041', '%zz'].map(
    (id): HostileInput => [
      `the id ${id}, which cannot be decoded`,
      invalid,
      by('alice', 'POST', `/jobs/${id}/cancel`),
    ],
  ),
  ['a path that climbs', noRoute, by('admin', 'GET', '/docs/../../../../etc/passwd')],
  ['a path that climbs in disguise', noRoute, by('admin', 'GET', '/docs/%2e%2e/%2e%2e/package.json')],
  [
    'a path that climbs out of the board',
    noRoute,
    by('admin', 'GET', '/board/static/..%2f..%2f..%2fpackage.json'),
  ],
  ['a path with a NUL at the board', noRoute, by('admin', 'GET', '/board/static/%00')],
  ['a path of another host', noRoute, by('alice', 'GET', '//evil.example/jobs')],
  ['a file that is hidden', noRoute, by('admin', 'GET', '/.env')],
  ['another method', problem(405, 'method_not_allowed'), by('alice', 'PUT', '/jobs', { body })],
  ['a method that is traced', problem(405, 'method_not_allowed'), by('alice', 'TRACE', '/jobs')],
  [
    'another method in a header',
    problem(405, 'method_not_allowed'),
    (world) =>
      by('alice', 'POST', `/jobs/${world.jobs.cancelled}`, {
        headers: { 'x-http-method-override': 'DELETE' },
      })(world),
  ],
  [
    'forgetting what is not over',
    problem(409, 'job_not_finished'),
    (world) => by('alice', 'DELETE', `/jobs/${world.jobs.waiting}`)(world),
  ],
];

const cursor = (text: string) => `cursor=${Buffer.from(text).toString('base64url')}`;
const queries: HostileInput[] = [
  ...[
    'limit=-1',
    'limit=0',
    'limit=1e9',
    'limit=101',
    'limit[]=1',
    'limit=1&limit=2',
    'status=__proto__',
    'status=active&status=failed',
    'model=__proto__',
    'model=gpt-9',
    `q=${'x'.repeat(101)}`,
    'q[$ne]=1',
    'tenant=*',
    'tenant=a%00b',
    '__proto__[admin]=1',
    'page=1',
    'cursor=',
    'cursor=%00',
    `cursor=${'x'.repeat(1001)}`,
    cursor('[1, 2, 3]'),
    cursor('[1e999, "a", "o3"]'),
    cursor('["+inf", "a", "o3"]'),
    cursor('{"__proto__": []}'),
    cursor('null'),
  ].map(
    (query): HostileInput => [
      `a list of ?${query.slice(0, 40)}`,
      invalid,
      by('alice', 'GET', `/jobs?${query}`),
    ],
  ),
  ['a list of another tenant', forbidden, by('bob', 'GET', '/jobs?tenant=alice')],
  ['a list of the admin', forbidden, by('bob', 'GET', '/jobs?tenant=admin')],
  ...['-1', '1e3', 'first', '9'.repeat(16), '$', '0-0'].map(
    (last): HostileInput => [
      `events after ${last}`,
      invalid,
      (world) =>
        by('alice', 'GET', `/jobs/${world.jobs.waiting}/events`, { headers: { 'last-event-id': last } })(
          world,
        ),
    ],
  ),
  [
    'a wait of 30 years',
    invalid,
    (world) => by('alice', 'GET', `/jobs/${world.jobs.waiting}/result?wait=1e9`)(world),
  ],
  [
    'a wait that is infinite',
    invalid,
    (world) => by('alice', 'GET', `/jobs/${world.jobs.waiting}/result?wait=Infinity`)(world),
  ],
];

const board: HostileInput[] = [
  ['pausing it', forbidden, by('alice', 'PUT', '/board/api/queues/o3/pause')],
  ['emptying it', forbidden, by('alice', 'PUT', '/board/api/queues/o3/empty')],
  ['another spelling of it', forbidden, by('alice', 'GET', '/BOARD/api/queues')],
  ['another writing of it', noRoute, by('alice', 'GET', '/%62oard%2fapi/queues')],
  [
    'adding a job to it',
    forbidden,
    by('bob', 'POST', '/board/api/queues/o3/add', { body: { name: 'x', data: body } }),
  ],
];

/**
 * Callers that ask for the jobs of others: without a key, with another key, by invalid ids, paths and
 * queries.
 */
export const hostileCallers: HostileInput[] = [
  ...[...keys, ...ids, ...queries],
  ...board.map(([name, ...rest]): HostileInput => [`the board: ${name}`, ...rest]),
];
