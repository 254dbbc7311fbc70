import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { z } from 'zod';
import { sampleOf } from '../../../simulator/sample/schema-sample.ts';

const object = (properties: object): object => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});

/** What OpenAI documents for structured outputs (guide "Structured Outputs", "Supported schemas"). */
const SCHEMAS: readonly [title: string, schema: object][] = [
  ['a string', { type: 'string' }],
  ['a boolean', { type: 'boolean' }],
  ['a null', { type: 'null' }],
  ['a short string', { type: 'string', maxLength: 3 }],
  ['an empty string', { type: 'string', maxLength: 0 }],
  ['a long string', { type: 'string', minLength: 50, maxLength: 50 }],
  ...[
    '^@[a-zA-Z0-9_]+$',
    '^[A-Z]{2}\\d{4}$',
    '^\\d{3}-\\d{2}-\\d{4}$',
    'ab',
    '^(foo|bar)(-\\d+)*$',
    '^#(?:[0-9a-fA-F]{3}){1,2}$',
    '^[^\\s@]+@[^\\s@]+\\.[a-z]{2,}$',
    '^(a)\\1$',
    '^.{5}\\.$',
    '\\bword\\b',
    '^(?=.*[A-Z])(?=.*\\d).{8,}$',
    '^$',
    '^/(?:[a-z]+/)*$',
  ].map((pattern): [string, object] => [`the pattern ${pattern}`, { type: 'string', pattern }]),
  ['a pattern with a length', { type: 'string', pattern: '^[a-z]+$', minLength: 12, maxLength: 12 }],
  ['a repeated pattern with a length', { type: 'string', pattern: '^(foo|bar)(-\\d+)*$', minLength: 12 }],
  ['any text of a length by its pattern', { type: 'string', pattern: '^\\S{0,256}$', minLength: 200 }],
  ...['date-time', 'date', 'time', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uuid', 'uri'].map(
    (format): [string, object] => [`the format ${format}`, { type: 'string', format }],
  ),
  ['an enum', { type: 'string', enum: ['red', 'green'] }],
  ['an enum of numbers', { enum: [7, 8] }],
  ['a const', { const: { kind: 'fixed', values: [1] } }],
  ['an integer', { type: 'integer' }],
  ['a minimum', { type: 'integer', minimum: 3 }],
  ['a maximum below 0', { type: 'number', maximum: -2.5 }],
  ['an integer below a fraction', { type: 'integer', maximum: -2.5 }],
  ['exclusive bounds', { type: 'integer', exclusiveMinimum: 3, exclusiveMaximum: 5 }],
  ['narrow bounds', { type: 'number', exclusiveMinimum: 0.1, exclusiveMaximum: 0.2 }],
  ['an exclusive minimum of 0', { type: 'number', exclusiveMinimum: 0 }],
  ['an exclusive maximum of 0', { type: 'number', exclusiveMaximum: 0 }],
  ['an exclusive fraction', { type: 'number', exclusiveMinimum: 0.5 }],
  ['a multiple', { type: 'integer', multipleOf: 7, minimum: 10 }],
  ['a multiple below 0', { type: 'integer', multipleOf: 7, maximum: -10 }],
  ['a multiple above an exclusive minimum', { type: 'integer', multipleOf: 5, exclusiveMinimum: 10 }],
  ['a multiple of a fraction', { type: 'number', multipleOf: 0.1, minimum: 0.3 }],
  ['a whole multiple of a fraction', { type: 'integer', multipleOf: 1.5, minimum: 1 }],
  ['an array', { type: 'array', items: { type: 'string' } }],
  ['minItems', { type: 'array', items: object({ n: { type: 'integer', minimum: 1 } }), minItems: 3 }],
  ['minItems and maxItems', { type: 'array', items: { type: 'number' }, minItems: 2, maxItems: 2 }],
  ['maxItems of 0', { type: 'array', items: { type: 'number' }, maxItems: 0 }],
  ['a tuple', { type: 'array', prefixItems: [{ type: 'string' }, { type: 'number' }], items: false }],
  ['a nullable type', object({ name: { type: ['null', 'string'], minLength: 3 } })],
  [
    'a union',
    object({ item: { anyOf: [object({ a: { type: 'string' } }), object({ b: { type: 'number' } })] } }),
  ],
  ['a union with null', object({ item: { anyOf: [{ type: 'null' }, { type: 'string', format: 'date' }] } })],
  ['one of two', object({ item: { oneOf: [{ type: 'integer', minimum: 2 }, { type: 'string' }] } })],
  [
    'all of two',
    { allOf: [object({ a: { type: 'string' } }), { properties: { a: { minLength: 20, type: 'string' } } }] },
  ],
  ['required names alone', { type: 'object', required: ['any'] }],
  ['a schema without type', { properties: { a: { minLength: 12 } }, required: ['a'] }],
  [
    'definitions',
    {
      ...object({
        steps: { type: 'array', items: { $ref: '#/$defs/step' }, minItems: 2 },
        last: { $ref: '#/$defs/step' },
      }),
      $defs: { step: object({ text: { type: 'string', minLength: 30 } }) },
    },
  ],
  [
    'a definition with words beside it',
    {
      ...object({ a: { $ref: '#/$defs/a~1b', description: 'x' } }),
      $defs: { 'a/b': { type: 'integer', minimum: 4 } },
    },
  ],
  [
    'a linked list',
    {
      ...object({ head: { $ref: '#/$defs/node' } }),
      $defs: {
        node: object({
          value: { type: 'number' },
          next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] },
        }),
      },
    },
  ],
  ['a tree', object({ label: { type: 'string' }, children: { type: 'array', items: { $ref: '#' } } })],
  [
    'two definitions that name each other',
    {
      $ref: '#/$defs/a',
      $defs: {
        a: object({ b: { type: 'array', items: { $ref: '#/$defs/b' } } }),
        b: object({ a: { anyOf: [{ $ref: '#/$defs/a' }, { type: 'string' }] } }),
      },
    },
  ],
  [
    'what zod writes',
    z.toJSONSchema(
      z.object({
        mail: z.email(),
        id: z.uuid(),
        at: z.iso.datetime(),
        day: z.iso.date(),
        url: z.url(),
        age: z.int().min(18).max(120),
        share: z.number().gt(0).lt(1),
        tags: z.array(z.enum(['a', 'b'])).min(2),
        code: z.string().regex(/^[A-Z]{3}-\d+$/),
        note: z.string().min(20).nullable(),
        shape: z.discriminatedUnion('kind', [
          z.object({ kind: z.literal('circle'), radius: z.number().positive() }),
          z.object({ kind: z.literal('square'), side: z.number() }),
        ]),
      }),
    ),
  ],
];

const ajv = new Ajv2020({ strict: false, validateFormats: true });
addFormats.default(ajv);

describe('the sample of a JSON schema', () => {
  it.each(SCHEMAS)('satisfies %s, and is always the same', (_, schema) => {
    const sample = sampleOf(schema);
    const validate = ajv.compile(schema);
    expect({ sample, valid: validate(sample), errors: validate.errors }).toEqual({
      sample,
      valid: true,
      errors: null,
    });
    expect(sampleOf(structuredClone(schema))).toEqual(sample);
  });

  it('fills arrays and optional properties, so that an agent has something to work on', () => {
    expect(sampleOf({ type: 'array', items: { type: 'integer' } })).toEqual([0]);
    expect(sampleOf({ type: 'object', properties: { a: { type: 'string' } } })).toEqual({ a: 'simulated' });
  });

  it.each([
    ['a recursion without an end', { $ref: '#' }],
    ['a required part that contains itself', object({ self: { $ref: '#' } })],
    ['bounds that exclude each other', { type: 'integer', minimum: 3, maximum: 2 }],
    ['more items than the simulator makes', { type: 'array', minItems: 1_000_000_000 }],
    ['a longer string than the simulator makes', { type: 'string', minLength: 1_000_000_000 }],
    ['a longer repetition than the simulator makes', { type: 'string', pattern: '^(a{100000}){100000}$' }],
    ['another document', { $ref: 'https://example.com/schema.json' }],
    ['an unreadable pattern', { type: 'string', pattern: '(' }],
    ['nothing', undefined],
  ])('is null for %s', (_, schema) => {
    expect(sampleOf(schema)).toBeNull();
  });

  it('takes little time for unions of unions, whose parts name each other', () => {
    const names = Array.from({ length: 12 }, (_, index) => `#/$defs/d${index}`);
    const references = names.map(($ref) => ({ $ref }));
    const node = object({ left: { anyOf: references }, right: { anyOf: references } });
    const schema = { ...node, $defs: Object.fromEntries(names.map((_, index) => [`d${index}`, node])) };
    const cpu = process.cpuUsage();
    expect(sampleOf(schema)).toBeNull();
    expect(process.cpuUsage(cpu).user / 1000).toBeLessThan(2000);
  });
});
