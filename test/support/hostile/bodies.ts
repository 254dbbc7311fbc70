import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { by, type HostileInput, problem, TAKEN_KEY } from './input.ts';

const MEGABYTE = 1024 * 1024;
const JSON_TYPE = 'application/json';
const question = 'Why?';
const invalid = problem(400, 'invalid_request');
const malformed = problem(400, 'malformed_json');
const tooLarge = problem(413, 'body_too_large');
const otherMedia = problem(415, 'unsupported_media_type');

const post = (body: unknown, headers: Record<string, string> = {}, path = '/jobs') =>
  by('alice', 'POST', path, { body, headers });
const pairs = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'v']));
const brackets = (count: number) => `${'['.repeat(count)}${']'.repeat(count)}`;
const objects = (count: number) => `${'{"a":'.repeat(count)}1${'}'.repeat(count)}`;
/** A valid request when it is unpacked, apart from its size. */
const bomb = (pack: (text: string) => Buffer, coding: string): HostileInput => [
  `a bomb of ${coding}`,
  tooLarge,
  (world) => {
    const body = pack(JSON.stringify({ question: 'x'.repeat(48 * MEGABYTE) }));
    return post(body, { 'content-encoding': coding, 'content-type': JSON_TYPE })(world);
  },
];

const packages: HostileInput[] = [
  ['11 MB', tooLarge, (world) => post({ question: 'x'.repeat(11 * MEGABYTE) })(world)],
  bomb(gzipSync, 'gzip'),
  bomb(deflateSync, 'deflate'),
  bomb((text) => brotliCompressSync(text, { params: { 1: 1 } }), 'br'),
  ['gzip that is none', invalid, post('{"question":"Why?"}', { 'content-encoding': 'gzip' })],
  [
    'gzip that is cut off',
    invalid,
    post(gzipSync('{"question":"Why?"}').subarray(0, 20), { 'content-encoding': 'gzip' }),
  ],
  ['gzip twice', otherMedia, post(gzipSync(gzipSync('{}')), { 'content-encoding': 'gzip, gzip' })],
  ['a form', otherMedia, post('question=Why', { 'content-type': 'application/x-www-form-urlencoded' })],
  ['a form with a file', otherMedia, post('--x', { 'content-type': 'multipart/form-data; boundary=x' })],
  ['a text that a form may send', otherMedia, post('{"question":"Why?"}', { 'content-type': 'text/plain' })],
  [
    'XML with an entity',
    otherMedia,
    post('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>', { 'content-type': 'application/xml' }),
  ],
  ['a type that is none', otherMedia, post('{"question":"Why?"}', { 'content-type': 'json' })],
  [
    'JSON in latin1',
    otherMedia,
    post('{"question":"Why?"}', { 'content-type': `${JSON_TYPE}; charset=latin1` }),
  ],
  [
    'JSON in an unknown charset',
    otherMedia,
    post('{"question":"Why?"}', { 'content-type': `${JSON_TYPE}; charset=utf-99` }),
  ],
  [
    'bytes that are no UTF-8',
    malformed,
    post(Buffer.from('{"question":"\xff\xfe\xc0\xaf"}', 'latin1'), { 'content-type': JSON_TYPE }),
  ],
  [
    'half a character at its end',
    malformed,
    post(Buffer.from('{"question":"a\xe2\x82"}', 'latin1'), { 'content-type': JSON_TYPE }),
  ],
  ['JSON that is cut off', malformed, post('{"question": "Wh')],
  ['JSON with a comment', malformed, post('{"question": "Why?" /* now */}')],
  ['JSON of JavaScript', malformed, post("{question: 'Why?', priority: NaN}")],
  ['a NUL in JSON', malformed, post('{"question": "a\0b"}')],
  [
    'JSON with a mark of its order',
    malformed,
    post(Buffer.from('\u{feff}\u{feff}{"question":"Why?"}'), { 'content-type': JSON_TYPE }),
  ],
  ['100,000 brackets', invalid, post(brackets(100_000))],
  ['100,000 brackets that stay open', malformed, post('['.repeat(100_000))],
];

const forms: HostileInput[] = [
  ['100,000 brackets as a question', invalid, post(`{"question":${brackets(100_000)}}`)],
  [
    '100,000 brackets as a field that is unknown',
    invalid,
    post(`{"question":"Why?","x":${brackets(100_000)}}`),
  ],
  ['100,000 brackets as metadata', invalid, post(`{"question":"Why?","metadata":${brackets(100_000)}}`)],
  ['100,000 objects as a request', invalid, post(`{"request":{"input":[${objects(100_000)}]}}`)],
  ['100,000 fields', invalid, post({ question, ...pairs(100_000) })],
  ['null', invalid, post('null')],
  ['a list', invalid, post([{ question }])],
  ['a question and a request', invalid, post({ question, request: { input: question } })],
  ['neither', invalid, post({})],
  ['a question that is a list', invalid, post({ question: [question] })],
  ['a question of blanks', invalid, post({ question: ' \u00a0\u2003\n' })],
  ['a context that is a number', invalid, post({ question, context: 1 })],
  ['instructions that are an object', invalid, post({ question, instructions: {} })],
  ['an effort that is none', invalid, post({ question, reasoning_effort: 'toString' })],
  ['an effort of half a character', invalid, post('{"question":"Why?","reasoning_effort":"\\ud800"}')],
  ['tokens of a number in words', invalid, post({ question, max_output_tokens: '100' })],
  [
    'tokens past what a number holds',
    invalid,
    post('{"question":"Why?","max_output_tokens":9007199254740993}'),
  ],
  ['a priority below zero', invalid, post({ question, priority: -1 })],
  ['a priority past what BullMQ holds', invalid, post({ question, priority: 2_097_152 })],
  ['a priority that is infinite', invalid, post('{"question":"Why?","priority":1e999}')],
  ['a priority that counts twice', invalid, post('{"question":"Why?","priority":1,"priority":-1}')],
  ['a delay of a thousand years', invalid, post({ question, delay_ms: 3.2e13 })],
  ['a delay below zero', invalid, post({ question, delay_ms: -0.5 })],
  ['a timeout past Node’s timers', invalid, post({ question, timeout_ms: 2 ** 31 })],
  ['no attempts', invalid, post({ question, max_attempts: 0 })],
  ['a billion attempts', invalid, post({ question, max_attempts: 1e9 })],
  ['a deadline of another calendar', invalid, post({ question, deadline: '2027-02-30T25:61:00Z' })],
  ['a needed_by without its zone', invalid, post({ question, needed_by: '2099-01-01T00:00:00' })],
  ['an on_late for nothing', invalid, post({ question, on_late: 'buy_again' })],
  ['a deadline that is a number', invalid, post({ question, deadline: 1e15 })],
  ['a stream that is a text', invalid, post({ question, stream: 'false' })],
  ['__proto__ as a field', invalid, post('{"question":"Why?","__proto__":{"priority":-1}}')],
  ['constructor as a field', invalid, post('{"question":"Why?","constructor":{"prototype":{"polluted":1}}}')],
  ['a tenant of one’s choice', invalid, post({ question, tenant: 'admin' })],
  ['an id of one’s choice', invalid, post({ question, id: 'job_1', jobId: 'job_1' })],
  ['options of BullMQ', invalid, post({ question, opts: { repeat: { every: 1 } } })],
  ['a request that is a text', invalid, post({ request: question })],
  ['a request without input', invalid, post({ request: { model: 'o3' } })],
  ['an input of no items', invalid, post({ request: { input: [] } })],
  ['an empty model', invalid, post({ question, model: '' })],
  ...[
    'gpt-9',
    '__proto__',
    'constructor',
    'toString',
    'O3',
    'o3\0',
    '{o3}',
    'o3:wait',
    '../o3',
    '\ud800',
  ].map(
    (model): HostileInput => [
      `the model ${JSON.stringify(model)}`,
      problem(400, 'unknown_model'),
      post({ question, model }),
    ],
  ),
  [
    'a model that counts twice',
    problem(400, 'unknown_model'),
    post('{"question":"Why?","model":"o3","model":"o4"}'),
  ],
  [
    'the key of another request',
    problem(409, 'idempotency_key_reused'),
    post({ question }, { 'idempotency-key': TAKEN_KEY }),
  ],
  ['a key of 256 characters', invalid, post({ question }, { 'idempotency-key': 'k'.repeat(256) })],
  ['an empty key', invalid, post({ question }, { 'idempotency-key': '' })],
  ['a wait of 30 years', invalid, post({ question }, {}, '/jobs?wait=1e9')],
  ['a wait below zero', invalid, post({ question }, {}, '/jobs?wait=-1')],
  ['two waits', invalid, post({ question }, {}, '/jobs?wait=1&wait=2')],
  ['a bulk that is a list', invalid, post([{ question }], {}, '/jobs/bulk')],
  ['a bulk of an object', invalid, post({ jobs: { length: 1, 0: { question } } }, {}, '/jobs/bulk')],
  [
    'a bulk of 1,001',
    invalid,
    post({ jobs: Array.from({ length: 1001 }, () => ({ question })) }, {}, '/jobs/bulk'),
  ],
  ['a bulk with more than jobs', invalid, post({ jobs: [], tenant: 'bob' }, {}, '/jobs/bulk')],
];

const metadata: HostileInput[] = (
  [
    ['17 pairs', JSON.stringify(pairs(17))],
    ['a key of 65', JSON.stringify({ ['k'.repeat(65)]: 'v' })],
    ['a value of 513', JSON.stringify({ k: 'v'.repeat(513) })],
    ['an empty key', '{"":"v"}'],
    ['a number', '{"k":1}'],
    ['an object', '{"k":{"$gt":""}}'],
    ['a list', '["v"]'],
    ['__proto__', '{"__proto__":{"polluted":"v"}}'],
    ['constructor', '{"constructor":"v"}'],
    ['a NUL in a key', '{"a\\u0000b":"v"}'],
    ['a line break in a key', '{"a\\r\\nb":"v"}'],
  ] as const
).map(([what, text]) => [`metadata of ${what}`, invalid, post(`{"question":"Why?","metadata":${text}}`)]);

/** `RECEIVER` stands for the port of a server that counts its callers. */
const webhookUrls: HostileInput[] = [
  'http://127.0.0.1:RECEIVER/hook',
  'http://localhost:RECEIVER/hook',
  'http://LOCALHOST.:RECEIVER/hook',
  'http://hook.localhost:RECEIVER/',
  'http://0.0.0.0:RECEIVER/',
  'http://0:RECEIVER/',
  'http://[::1]:RECEIVER/',
  'http://[::]:RECEIVER/',
  'http://[::ffff:10.0.0.1]/',
  'http://[::ffff:7f00:1]:RECEIVER/',
  'http://[64:ff9b::127.0.0.1]:RECEIVER/',
  'http://[fd00:ec2::254]/latest/meta-data/',
  'http://169.254.169.254/latest/meta-data/',
  'http://metadata.google.internal/computeMetadata/v1/',
  'http://0x7f.1:RECEIVER/',
  'http://2130706433:RECEIVER/',
  'http://0177.0.0.1:RECEIVER/',
  'http://①②⑦.0.0.1:RECEIVER/',
  'http://127.1:6379/',
  'http://10.0.0.1:22/',
  'http://100.64.0.1/',
  'http://printer.local:631/',
  'http://user:pass@hook.example.com/',
  'http://hook.example.com@127.0.0.1:RECEIVER/',
  'ftp://hook.example.com/',
  'file:///etc/passwd',
  'gopher://127.0.0.1:6379/_FLUSHALL',
  'data:text/plain,hook',
  '//hook.example.com/',
  'http://hook.example.com:99999/',
  'http://\ud800.example.com/',
  `https://hook.example.com/${'x'.repeat(2000)}`,
].map((url) => [
  `a webhook to ${url.slice(0, 60)}`,
  invalid,
  (world) => {
    const webhook_url = url.replace('RECEIVER', new URL(world.receiverUrl).port);
    return post({ question, delay_ms: 1, webhook_url })(world);
  },
]);

/** Bodies that are not a request, or ask for something forbidden. */
export const hostileBodies: HostileInput[] = [...packages, ...forms, ...metadata, ...webhookUrls];
