import { gzipSync } from 'node:zlib';
import { named, useRefusalWorld } from '../../support/hostile/refusals.ts';
import { type CallOptions, call, enqueue, reached } from '../../support/http/http-calls.ts';

const world = useRefusalWorld();

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
      'more than 1 MB',
      413,
      'body_too_large',
      { body: { question: 'x'.repeat(1024 * 1024) } },
      'expected to be at most 1 MB (http.maxBodyMb of this instance), got more',
    ],
    [
      'more than 1 MB in a small package',
      413,
      'body_too_large',
      {
        body: gzipSync(JSON.stringify({ question: 'x'.repeat(1024 * 1024) })),
        headers: { 'content-encoding': 'gzip', 'content-type': 'application/json' },
      },
      'expected to be at most 1 MB (http.maxBodyMb of this instance), got more',
    ],
  ])('%s is refused: %i %s', async (_what, status, code, options, said) => {
    expect(await world.refused([status, code], 'POST', '/jobs', options)).toContain(said);
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
    expect(await world.refused([400, 'invalid_request'], 'POST', '/jobs', { body })).toContain(said);
  });

  it('names each flaw with its field, all at once', async () => {
    const body = { question: '', priority: -1, metadata: { owner: 5 } };
    const answer = await call(world.instance.url, 'POST', '/jobs', { body });
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
        expect(await world.refused([400, 'unknown_model'], 'POST', '/jobs', { body })).toContain(said);
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
      expect(await world.refused([400, 'invalid_request'], 'POST', '/jobs', { body })).toContain(said);
    }
    expect({}).not.toHaveProperty('polluted');
  });
});

it('after all these refusals a valid job is answered', async () => {
  const { id } = await enqueue(world.instance.url, { question: 'Still alive?' });
  await reached(world.instance.url, id, 'completed');
  expect(world.instance.simulator.ledger.totals()).toMatchObject({ purchases: 1, completed: 1 });
  world.instance.simulator.ledger.reset();
});
