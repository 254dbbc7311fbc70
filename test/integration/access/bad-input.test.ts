import { gzipSync } from 'node:zlib';
import { Redis } from 'ioredis';
import { keysOf } from '../../../src/redis/keys.ts';
import { eventually } from '../../support/eventually.ts';
import { type CallOptions, call, enqueue, expectProblem, reached } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const o3 = keysOf('o3q', 'o3');

let instance: Instance;
let redis: Redis;

beforeAll(async () => {
  instance = await startInstance();
  redis = new Redis(instance.redis.url);
  // The worker has written its own keys once it has answered something.
  const { id } = await enqueue(instance.url, { question: 'Ready?' });
  await reached(instance.url, id, 'completed');
  await eventually(async () => expect(await redis.zscore(o3.queue('completed'), id)).not.toBeNull());
  instance.simulator.ledger.reset();
});

afterAll(async () => {
  redis.disconnect();
  await instance.stop();
});

afterEach(async () => {
  expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 0, rejected: 0, polls: 0 });
  expect(instance.logLines.splice(0).filter((line) => line.includes('unexpected'))).toEqual([]);
});

/** Makes a call, and expects a refusal and an unchanged Redis. Returns the text of the problem. */
async function refused(
  [status, code]: [number, string],
  method: string,
  path: string,
  options?: CallOptions,
): Promise<string> {
  const before = await stored();
  const answer = await call(instance.url, method, path, options);
  expectProblem(answer, status, code);
  expect(await stored()).toEqual(before);
  return (answer.body as { detail: string }).detail;
}

/** Without the short-lived keys of BullMQ's workers. */
async function stored(): Promise<{ keys: string[]; jobs: number }> {
  // A worker writes the models of the upstream and the status of the queue by itself.
  const keys = (await redis.keys('*')).filter(
    (key) => !key.startsWith('o3q:{catalog}') && key !== o3.fairQueue('status'),
  );
  return {
    keys: keys.filter((key) => !/:(marker|stalled|stalled-check)$/.test(key)).sort(),
    jobs: await redis.zcard(o3.index('all')),
  };
}

/** Names the rows of a table by the beginning of their first column, which may be long. */
function named<Row extends [unknown, ...unknown[]]>(rows: Row[]): [string, ...Row][] {
  return rows.map((row) => [
    String(typeof row[0] === 'string' ? row[0] : JSON.stringify(row[0])).slice(0, 60),
    ...row,
  ]);
}

const question = 'Why?';
const pairs = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'v']));
const nested = (levels: number) => `{"request": {"input": ${'['.repeat(levels)}1${']'.repeat(levels)}}}`;

describe('a body that is not JSON', () => {
  it.each<[what: string, status: number, code: string, options: CallOptions, said: string]>([
    [
      'a text cut off',
      400,
      'malformed_json',
      { body: '{"question": ' },
      'expected to be JSON: Unexpected end',
    ],
    [
      'two values',
      400,
      'malformed_json',
      { body: '{} {}' },
      'expected to be JSON: Unexpected non-whitespace',
    ],
    ['no body', 415, 'unsupported_media_type', {}, 'Expected a body of JSON, got none'],
    [
      'a form',
      415,
      'unsupported_media_type',
      { body: 'question=Why', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      'content-type: application/json',
    ],
    [
      'an unlabelled text',
      415,
      'unsupported_media_type',
      { body: '{"question": "Why?"}', headers: { 'content-type': 'text/plain' } },
      'content-type: application/json',
    ],
    [
      'another charset',
      415,
      'unsupported_media_type',
      { body: '{"question": "Why?"}', headers: { 'content-type': 'application/json; charset=latin1' } },
      'expected to be JSON in UTF-8: unsupported charset "LATIN1"',
    ],
    [
      'an unknown compression',
      415,
      'unsupported_media_type',
      { body: '{"question": "Why?"}', headers: { 'content-encoding': 'rot13' } },
      'unsupported content encoding "rot13"',
    ],
    [
      'a compression that it does not have',
      400,
      'invalid_request',
      { body: '{"question": "Why?"}', headers: { 'content-encoding': 'gzip' } },
      'expected to be compressed as its content-encoding says',
    ],
    [
      'more than 10 MB',
      413,
      'body_too_large',
      { body: { question: 'x'.repeat(10 * 1024 * 1024) } },
      'expected to be at most 10 MB',
    ],
    [
      'more than 10 MB in a small package',
      413,
      'body_too_large',
      {
        body: gzipSync(JSON.stringify({ question: 'x'.repeat(10 * 1024 * 1024) })),
        headers: { 'content-encoding': 'gzip', 'content-type': 'application/json' },
      },
      'expected to be at most 10 MB',
    ],
  ])('%s is refused: %i %s', async (_what, status, code, options, said) => {
    expect(await refused([status, code], 'POST', '/jobs', options)).toContain(said);
  });
});

describe('JSON that is not a request', () => {
  it.each(
    named<[body: unknown, said: string]>([
      ['null', 'expected object, got null'],
      ['5', 'expected object, got 5'],
      ['"Why?"', 'expected object, got "Why?"'],
      [[], 'expected object, got an array'],
      [{}, 'expected either "question" or "request", got neither'],
      ['', 'expected either "question" or "request", got neither'],
      [{ question, request: { input: 'x' } }, 'expected either "question" or "request", got both'],
      [{ question: 5 }, 'question: expected string, got 5'],
      [{ question: null }, 'question: expected string, got null'],
      [{ question: [question] }, 'question: expected string, got an array'],
      [{ question: '' }, 'question: expected a question, got an empty text'],
      [{ question: ' \n\t' }, 'question: expected a question, got an empty text'],
      [{ question, context: 5 }, 'context: expected string, got 5'],
      [{ question, instructions: {} }, 'instructions: expected string, got an object'],
      [
        { question, reasoning_effort: 'huge' },
        'reasoning_effort: expected one of "none"|"minimal"|"low"|"medium"|"high"|"xhigh"|"max", got "huge"',
      ],
      [{ question, max_output_tokens: 15 }, 'max_output_tokens: expected number to be >=16, got 15'],
      [{ question, max_output_tokens: '100' }, 'max_output_tokens: expected number, got "100"'],
      [{ question, stream: 'yes' }, 'stream: expected boolean, got "yes"'],
      [{ question, model: 5 }, 'model: expected string, got 5'],
      [{ question, model: '' }, 'model: expected string to have >=1 characters, got ""'],
      [{ question, priority: -1 }, 'priority: expected number to be >=0, got -1'],
      [{ question, priority: 2_097_152 }, 'priority: expected number to be <=2097151, got 2097152'],
      [{ question, priority: 0.5 }, 'priority: expected int, got 0.5'],
      [{ question, delay_ms: -1 }, 'delay_ms: expected number to be >=0, got -1'],
      [{ question, delay_ms: 1e12 }, 'delay_ms: expected number to be <=31622400000, got 1000000000000'],
      ['{"question": "Why?", "delay_ms": 1e400}', 'delay_ms: expected number, got Infinity'],
      [{ question, max_attempts: 0 }, 'max_attempts: expected number to be >=1, got 0'],
      [{ question, max_attempts: 1001 }, 'max_attempts: expected number to be <=1000, got 1001'],
      [{ question, timeout_ms: 0 }, 'timeout_ms: expected number to be >=1, got 0'],
      [
        { question, timeout_ms: 2_147_483_648 },
        'timeout_ms: expected number to be <=2147483647, got 2147483648',
      ],
      [{ question, promt: 'x' }, 'expected only question, context,'],
      ['{"question": "Why?", "__proto__": {"model": "o3"}}', 'got "__proto__"'],
      [{ question, constructor: 'x' }, 'got "constructor"'],
      [{ question, ...pairs(2000) }, 'got "k0", "k1", "k2", "k3", "k4" and 1995 more'],
      [{ request: 'Why?' }, 'request: expected object, got "Why?"'],
      [{ request: null }, 'request: expected object, got null'],
      [{ request: [] }, 'request: expected object, got an array'],
      [{ request: {} }, 'request: expected "input" (or "prompt"), got neither'],
      [{ request: { input: '' } }, 'request.input: expected string to have >=1 characters, got ""'],
      [{ request: { input: [] } }, 'request.input: expected array to have >=1 items, got an array'],
      [{ request: { input: 5 } }, 'request.input: expected a text or a list of items, got 5'],
      [{ request: { input: 'x', stream: 1 } }, 'request.stream: expected boolean, got 1'],
      [{ request: { input: 'x', background: 'no' } }, 'request.background: expected boolean, got "no"'],
      [{ request: { input: 'x' }, context: 'x' }, 'expected only request, stream,'],
      [nested(201), 'request: expected at most 200 levels, got more'],
      [nested(100_000), 'request: expected at most 200 levels, got more'],
    ]),
  )('%s is refused', async (_name, body, said) => {
    expect(await refused([400, 'invalid_request'], 'POST', '/jobs', { body })).toContain(said);
  });

  it('names each flaw with its field, all at once', async () => {
    const body = { question: '', priority: -1, metadata: { owner: 5 } };
    const answer = await call(instance.url, 'POST', '/jobs', { body });
    expect(answer.body).toMatchObject({
      flaws: [
        { path: 'question', message: 'expected a question, got an empty text' },
        { path: 'metadata.owner', message: 'expected a string, got 5' },
        { path: 'priority', message: 'expected number to be >=0, got -1' },
      ],
    });
  });

  it.each(['gpt-9', 'O3', '__proto__', 'toString', 'o3 ', '{o3}', '../o3', 'o3:1'])(
    'is refused for the model %j, and the configured models are named',
    async (model) => {
      const said = `The model was refused: expected one of o3, got ${JSON.stringify(model)}`;
      for (const body of [{ question, model }, { request: { input: 'x', model } }]) {
        expect(await refused([400, 'unknown_model'], 'POST', '/jobs', { body })).toContain(said);
      }
    },
  );
});

describe('metadata', () => {
  const cases: [what: string, metadata: string, said: string][] = [
    ['no object', '5', 'metadata: expected an object of strings, got 5'],
    ['a list', '["a"]', 'metadata: expected an object of strings, got an array'],
    ['17 pairs', JSON.stringify(pairs(17)), 'metadata: expected at most 16 pairs, got 17'],
    ['an empty key', '{"": "x"}', 'metadata: expected a key of 1 to 64 characters, got 0'],
    [
      'a key of 65',
      JSON.stringify({ ['k'.repeat(65)]: 'x' }),
      'expected a key of 1 to 64 characters, got 65',
    ],
    [
      'a value of 513',
      JSON.stringify({ k: 'x'.repeat(513) }),
      'metadata.k: expected at most 512 characters, got 513',
    ],
    ['a number', '{"k": 1}', 'metadata.k: expected a string, got 1'],
    ['null', '{"k": null}', 'metadata.k: expected a string, got null'],
    ['an object', '{"k": {"a": "b"}}', 'metadata.k: expected a string, got an object'],
    ['__proto__', '{"__proto__": "x"}', 'no reserved word of JavaScript, got "__proto__"'],
    ['__proto__ with an object', '{"__proto__": {"polluted": "x"}}', 'got "__proto__"'],
    ['constructor', '{"constructor": "x"}', 'no reserved word of JavaScript, got "constructor"'],
    ['prototype', '{"prototype": "x"}', 'no reserved word of JavaScript, got "prototype"'],
    ['a line break in a key', '{"a\\nb": "x"}', 'a key without control characters'],
    ['a NUL in a key', '{"a\\u0000b": "x"}', 'a key without control characters'],
    ['a DEL in a key', '{"a\\u007fb": "x"}', 'a key without control characters'],
  ];
  it.each(cases)('with %s is refused in both forms', async (_what, metadata, said) => {
    const bodies = [
      `{"question": "Why?", "metadata": ${metadata}}`,
      `{"request": {"input": "Why?", "metadata": ${metadata}}}`,
    ];
    for (const body of bodies) {
      expect(await refused([400, 'invalid_request'], 'POST', '/jobs', { body })).toContain(said);
    }
    expect({}).not.toHaveProperty('polluted');
  });
});

describe('ids', () => {
  const routes = [
    ['GET', ''],
    ['GET', '/result'],
    ['POST', '/cancel'],
    ['POST', '/retry'],
    ['DELETE', ''],
  ] as const;

  it.each(
    named(
      [
        'job_00000000000000000000000000000000',
        '1',
        'o3:1',
        'nobody:1',
        '__proto__',
        '__proto__:1',
        'constructor',
        '..%2F..%2Fetc%2Fpasswd',
        '%2e%2e',
        '%00',
        'a%00b',
        '%F0%9F%A6%84',
        'x'.repeat(5000),
        '*',
        '%7Bo3%7D',
        '%0d%0aset-cookie:a=b',
        // Keys of BullMQ's own beside the jobs: hashes, lists, sets, streams, texts.
        'meta',
        'wait',
        'active',
        'events',
        'id',
        'marker',
        'completed',
        'failed',
        'delayed',
        'prioritized',
        'stalled',
        'stalled-check',
        'pc',
      ].map((id): [string] => [id]),
    ),
  )('%s is not a job on any route', async (_name, id) => {
    for (const [method, rest] of routes) {
      await refused([404, 'job_not_found'], method, `/jobs/${id}${rest}`);
    }
    await refused([404, 'job_not_found'], 'GET', `/jobs/${id}/result?wait=1`);
  });

  it('are refused in a path that cannot be decoded', async () => {
    for (const [method, rest] of routes) {
      const said = await refused([400, 'invalid_request'], method, `/jobs/%E0%A4%A${rest}`);
      expect(said).toContain("Failed to decode param '%E0%A4%A'");
    }
  });

  it('are not found in a path with ..', async () => {
    await refused([404, 'route_not_found'], 'GET', '/jobs/../etc/passwd');
    await refused([404, 'route_not_found'], 'GET', '/jobs/a/b/c');
  });
});

describe('queries', () => {
  const seconds = 'wait: expected one number of seconds from 0 to 300, got';
  it.each([
    ['wait=-1', `${seconds} "-1"`],
    ['wait=abc', `${seconds} "abc"`],
    ['wait=301', `${seconds} 301`],
    ['wait=300.5', `${seconds} 300.5`],
    ['wait=', `${seconds} ""`],
    ['wait=%20', `${seconds} " "`],
    ['wait=0x10', `${seconds} "0x10"`],
    ['wait=1e2', `${seconds} "1e2"`],
    ['wait=Infinity', `${seconds} "Infinity"`],
    ['wait=1&wait=2', `${seconds} an array`],
    ['wait[]=1', 'expected only wait, got "wait[]"'],
    ['Wait=1', 'expected only wait, got "Wait"'],
    ['__proto__=1', 'expected only wait, got "__proto__"'],
  ])('?%s is refused on routes that wait', async (query, said) => {
    const body = { question };
    expect(await refused([400, 'invalid_request'], 'POST', `/jobs?${query}`, { body })).toContain(said);
    expect(await refused([400, 'invalid_request'], 'GET', `/jobs/some/result?${query}`)).toContain(said);
  });

  it.each(
    named<[query: string, said: string]>([
      ['limit=0', 'limit: expected one whole number from 1 to 100, got 0'],
      ['limit=101', 'limit: expected one whole number from 1 to 100, got 101'],
      ['limit=1.5', 'limit: expected one whole number from 1 to 100, got "1.5"'],
      ['limit=', 'limit: expected one whole number from 1 to 100, got ""'],
      ['limit=ten', 'limit: expected one whole number from 1 to 100, got "ten"'],
      ['limit=1&limit=2', 'limit: expected one whole number from 1 to 100, got an array'],
      [
        'status=foo',
        'status: expected one of "waiting"|"delayed"|"active"|"completed"|"failed"|"cancelled", got "foo"',
      ],
      ['status=failed&status=cancelled', 'got an array'],
      ['model=gpt-9', 'model: expected one of o3, got "gpt-9"'],
      ['model=__proto__', 'model: expected one of o3, got "__proto__"'],
      [`q=${'x'.repeat(101)}`, 'q: expected string to have <=100 characters'],
      ['tenant=', "tenant: expected a tenant's name"],
      ['tenant=..%2Fadmin', "tenant: expected a tenant's name"],
      ['tenant=a&tenant=b', 'tenant: expected string, got an array'],
      ['q=a&q=b', 'q: expected string, got an array'],
      ['cursor=zzz', 'cursor was expected to be the next_cursor of an earlier page'],
      ['cursor=', 'cursor was expected to be the next_cursor of an earlier page'],
      [`cursor=${Buffer.from('[1, 2, 3]').toString('base64url')}`, 'cursor was expected'],
      [`cursor=${Buffer.from('[null, "a", "o3"]').toString('base64url')}`, 'cursor was expected'],
      [`cursor=${Buffer.from('{"length": 3}').toString('base64url')}`, 'cursor was expected'],
      [`cursor=${'x'.repeat(1001)}`, 'cursor: expected string to have <=1000 characters'],
      ['page=2', 'expected only status, model, tenant, q, limit, cursor, got "page"'],
    ]),
  )('?%s is refused by the list', async (_name, query, said) => {
    expect(await refused([400, 'invalid_request'], 'GET', `/jobs?${query}`)).toContain(said);
  });

  it.each([
    ['GET', '/jobs/some'],
    ['POST', '/jobs/some/cancel'],
    ['POST', '/jobs/some/retry'],
    ['DELETE', '/jobs/some'],
  ])('%s %s accepts no query', async (method, path) => {
    const said = await refused([400, 'invalid_request'], method, `${path}?force=1`);
    expect(said).toBe('The query was refused: expected nothing, got "force"');
  });
});

describe('routes', () => {
  it.each([
    ['PUT', '/jobs', 'POST, GET, HEAD'],
    ['DELETE', '/jobs', 'POST, GET, HEAD'],
    ['OPTIONS', '/jobs', 'POST, GET, HEAD'],
    ['PATCH', '/jobs/some', 'GET, DELETE, HEAD'],
    ['POST', '/jobs/some', 'GET, DELETE, HEAD'],
    ['POST', '/jobs/some/result', 'GET, HEAD'],
    ['GET', '/jobs/some/cancel', 'POST'],
    ['DELETE', '/jobs/some/retry', 'POST'],
    ['POST', '/livez', 'GET, HEAD'],
    ['DELETE', '/readyz', 'GET, HEAD'],
  ])('%s %s is refused with the allowed methods', async (method, path, allow) => {
    const answer = await call(instance.url, method, path);
    expectProblem(answer, 405, 'method_not_allowed');
    expect(answer.headers['allow']).toBe(allow);
  });

  it.each([
    ['GET', '/nope'],
    ['POST', '/v2/jobs'],
    ['GET', '/livez/x'],
  ])('%s %s is not a route', async (method, path) => {
    expect(await refused([404, 'route_not_found'], method, path)).toContain(`There is no route ${method} /`);
  });
});

it('after all these refusals a valid job is answered', async () => {
  const { id } = await enqueue(instance.url, { question: 'Still alive?' });
  await reached(instance.url, id, 'completed');
  expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1, completed: 1 });
  instance.simulator.ledger.reset();
});
