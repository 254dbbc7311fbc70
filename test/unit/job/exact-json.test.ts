import {
  canonicalJson,
  ExactNumber,
  hasInexactNumber,
  parseExact,
  stringifyExact,
} from '../../../src/job/exact-json.ts';
import { jobDataFrom, parseJobData, parseJobRequest, responsesBodyFrom } from '../../../src/job/request.ts';

const INEXACT = [
  '9223372036854775807',
  '-9223372036854775808',
  '9007199254740993',
  '1.0',
  '-0',
  '-0.0',
  '0.10',
  '1e400',
  '-1E+400',
  '1e-400',
  '1e5',
  '1E5',
  '0.1000000000000000055511151231257827',
  '100000000000000000000000',
];
const PLAIN = [
  '0',
  '7',
  '-7',
  '42',
  '0.7',
  '-1.5',
  '9007199254740991',
  '123456789012345680000',
  '1e+21',
  '1e-7',
];

it.each(INEXACT)('%s keeps its digits, wherever it stands', (number) => {
  for (const text of [
    number,
    `[${number}]`,
    `{"a":${number}}`,
    `{"a":[{"b":[1,${number},"${number}"]}],"c":"\\\\\\"${number}"}`,
  ]) {
    expect(hasInexactNumber(text)).toBe(true);
    expect(stringifyExact(parseExact(text))).toBe(text);
    expect(stringifyExact(parseExact(text.replaceAll(/(?<=[[\]{},:])/g, ' \r\n')))).toBe(text);
  }
});

it.each(PLAIN)('%s is a plain number', (number) => {
  expect(hasInexactNumber(`{"a":[${number}]}`)).toBe(false);
  expect(parseExact(number)).toBe(Number(number));
});

it('strings are no numbers, whatever is in them', () => {
  for (const text of [
    '"1.0"',
    '{"1.0":"-0"}',
    '"\\"1.0"',
    '"\\\\\\"1.0\\\\"',
    '["\\\\",1,"\\"",2,"1e400"]',
    'true',
    'null',
  ]) {
    expect(hasInexactNumber(text)).toBe(false);
    expect(stringifyExact(parseExact(text))).toBe(text);
  }
  expect(stringifyExact(parseExact('["\\\\",1.0,"\\"",2.0]'))).toBe('["\\\\",1.0,"\\"",2.0]');
});

it('everything but the digits is read as JSON.parse reads it', () => {
  expect(parseExact('{"a":1.0,"a":2,"__proto__":{"b":1},"c":null}')).toEqual(
    JSON.parse('{"a":1.0,"a":2,"__proto__":{"b":1},"c":null}'),
  );
  expect(stringifyExact(parseExact('{"a":1,"a":2.0}'))).toBe('{"a":2.0}');
  expect(stringifyExact(parseExact('{"__proto__":1.0}'))).toBe('{"__proto__":1.0}');
});

it.each([
  '',
  '01.0',
  '1.',
  '.5',
  '-',
  '1.0.0',
  '{1.0:2}',
  '[1.0,]',
  '{"a":1.0',
  '"1.0',
  '1e',
  '+1.0',
  '[1.0 2.0]',
])('%j is no JSON', (text) => expect(() => parseExact(text)).toThrow(SyntaxError));

it('JSON that is nested very deep is read, without exact digits', () => {
  const deep = `${'['.repeat(50_000)}1.0${']'.repeat(50_000)}`;
  expect(Array.isArray(parseExact(deep))).toBe(true);
});

it('stringifyExact writes a bigint as the integer that it is, and plain values as JSON.stringify does', () => {
  expect(stringifyExact({ maximum: 9223372036854775807n, a: new ExactNumber('1.0') })).toBe(
    '{"maximum":9223372036854775807,"a":1.0}',
  );
  const plain = { a: [1, 'x', null, undefined], b: undefined, c: new Date(0), d: 'ä\ud800' };
  expect(stringifyExact(plain)).toBe(JSON.stringify(plain));
  expect(JSON.stringify([new ExactNumber('1.0')])).toBe('[1]');
  expect(() =>
    stringifyExact({
      toJSON: () => {
        throw new Error('broken');
      },
    }),
  ).toThrow('broken');
  expect(JSON.stringify([new ExactNumber('1.0')])).toBe('[1]');
});

describe('canonicalJson', () => {
  const same = (one: string, other: string) =>
    canonicalJson(parseExact(one)) === canonicalJson(parseExact(other));

  it.each([
    ['{"a":1,"b":[{"c":2,"d":3}]}', '{"b":[{"d":3,"c":2}],"a":1}'],
    ['1.0', '1'],
    ['1e5', '100000.00'],
    ['0.10', '0.1'],
    ['-0.0', '0'],
    ['1e400', '10E+399'],
    ['9223372036854775807', '9223372036854775807.0'],
  ])('is the same for %s and %s', (one, other) => expect(same(one, other)).toBe(true));

  it.each([
    ['9223372036854775807', '9223372036854775808'],
    ['9007199254740993', '9007199254740992'],
    ['1e400', '1e401'],
    ['1e400', '-1e400'],
    ['1e400', 'null'],
    ['1e-400', '0'],
    ['[1,2]', '[2,1]'],
    ['"1.0"', '1.0'],
  ])('differs for %s and %s', (one, other) => expect(same(one, other)).toBe(false));

  it.each([
    ['digits', '9'.repeat(5_000_000)],
    ['zeros', `1${'0'.repeat(5_000_000)}1`],
    ['an exponent', `1e${'9'.repeat(5_000_000)}`],
  ])('is quick for a number with millions of %s', (_name, number) => {
    const startedAt = performance.now();
    expect(canonicalJson(parseExact(`[${number}]`))).toHaveLength(number.length + 2);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  it('takes a bigint for the number that it is', () => {
    expect(canonicalJson({ a: 9223372036854775807n })).toBe(
      canonicalJson(parseExact('{"a":9223372036854775807}')),
    );
    expect(canonicalJson({ a: 7n })).toBe('{"a":7}');
  });
});

describe('a request', () => {
  const body =
    '{"input":[{"role":"user","content":"x","n":1.0}],"temperature":1.0,"seed":9007199254740993,' +
    '"tools":[{"parameters":{"maximum":9223372036854775807,"enum":[[1e400,-0]]}}],"stream":true}';

  it('goes to the upstream as it came, but for what the queue sets', () => {
    const request = parseJobRequest(parseExact(`{"request":${body},"timeout_ms":60000.0,"priority":1e2}`));
    expect(request).toMatchObject({ timeout_ms: 60_000, priority: 100 });
    const stored = stringifyExact(jobDataFrom(request, true));
    const sent = stringifyExact(responsesBodyFrom(parseJobData(parseExact(stored)), 'up'));
    expect(sent).toBe(body.replace(',"stream":true}', ',"model":"up"}'));
  });

  it('has plain numbers where the queue reads them, and refuses what is no number of its own', () => {
    expect(parseJobData(parseExact('{"question":"x","timeout_ms":6e4,"max_output_tokens":100.0}'))).toEqual({
      question: 'x',
      timeout_ms: 60_000,
      max_output_tokens: 100,
    });
    expect(() => parseJobRequest(parseExact('{"question":"x","timeout_ms":1e400}'))).toThrow(/timeout_ms/);
    expect(() => parseJobRequest(parseExact('{"question":"x","metadata":{"a":1.0}}'))).toThrow(
      /metadata.a: expected a string, got 1/,
    );
    expect(() => parseJobRequest(parseExact('{"request":{"input":"x","model":1.0}}'))).toThrow(
      /request.model/,
    );
    expect(() => parseJobRequest(parseExact('1.0'))).toThrow(/expected/);
  });
});
