import { ApiError } from '../../../simulator/api/errors.ts';
import { createFaultCounts } from '../../../simulator/faults/fault-count.ts';
import { createModels, DEFAULT_MODELS } from '../../../simulator/models/models.ts';
import { accountOf } from '../../../simulator/request/account.ts';
import { readCreateRequest } from '../../../simulator/request/create-request.ts';

const GOOD = { model: 'o3', input: 'x' };

function refusalOf(body: unknown) {
  try {
    readCreateRequest(body, accountOf({}), createModels(DEFAULT_MODELS));
  } catch (error: unknown) {
    if (error instanceof ApiError) return { status: error.status, ...error.body };
    throw error;
  }
  return 'accepted';
}

describe('the body of a create request', () => {
  it.each([
    ['no object', [], 'body', 'invalid_type'],
    ['no model', { input: 'x' }, 'model', 'missing_required_parameter'],
    ['no input', { model: 'o3' }, 'input', 'missing_required_parameter'],
    ['a model that is a number', { ...GOOD, model: 3 }, 'model', 'invalid_type'],
    ['an input that is a number', { ...GOOD, input: 3 }, 'input', 'invalid_type'],
    ['an item that is a string', { ...GOOD, input: ['x'] }, 'input[0]', 'invalid_type'],
    [
      'an unknown role',
      { ...GOOD, input: [{ role: 'king', content: 'x' }] },
      'input[0].role',
      'invalid_value',
    ],
    [
      'an item without content',
      { ...GOOD, input: [{ role: 'user' }] },
      'input[0].content',
      'missing_required_parameter',
    ],
    ['background as a string', { ...GOOD, background: 'yes' }, 'background', 'invalid_type'],
    [
      'too few output tokens',
      { ...GOOD, max_output_tokens: 15 },
      'max_output_tokens',
      'integer_below_min_value',
    ],
    ['a fraction of a token', { ...GOOD, max_output_tokens: 16.5 }, 'max_output_tokens', 'invalid_type'],
    ['an unknown effort', { ...GOOD, reasoning: { effort: 'huge' } }, 'reasoning.effort', 'invalid_value'],
    ['a temperature for o3', { ...GOOD, temperature: 0.2 }, 'temperature', 'unsupported_value'],
    [
      'any temperature for gpt-5',
      { model: 'gpt-5', input: 'x', temperature: 1 },
      'temperature',
      'unsupported_parameter',
    ],
    ['a tool without a type', { ...GOOD, tools: [{}] }, 'tools[0].type', 'missing_required_parameter'],
    ['an unknown tool choice', { ...GOOD, tool_choice: 'maybe' }, 'tool_choice', 'invalid_value'],
    ['metadata that is a number', { ...GOOD, metadata: { a: 1 } }, 'metadata.a', 'invalid_type'],
    [
      'a metadata value too long',
      { ...GOOD, metadata: { a: 'x'.repeat(513) } },
      'metadata.a',
      'string_above_max_length',
    ],
    [
      'a metadata key too long',
      { ...GOOD, metadata: { ['x'.repeat(65)]: '' } },
      'metadata',
      'string_above_max_length',
    ],
    [
      'a fault parameter that is no number',
      { ...GOOD, metadata: { sim_deltas: 'ten' } },
      'metadata.sim_deltas',
      'invalid_value',
    ],
    [
      'an unknown error code',
      { ...GOOD, metadata: { sim: 'failed', sim_code: 'x' } },
      'metadata.sim_code',
      'invalid_value',
    ],
  ])('a create body with %s is refused', (_what, body, param, code) => {
    expect(refusalOf(body)).toMatchObject({ status: 400, type: 'invalid_request_error', param, code });
  });

  it('a create body with more than sixteen metadata pairs is refused', () => {
    const metadata = Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`key${index}`, '']));
    expect(refusalOf({ ...GOOD, metadata })).toMatchObject({ code: 'object_above_max_properties' });
  });

  it('null means absent, and unknown fields are accepted', () => {
    const nulls = {
      background: null,
      stream: null,
      metadata: null,
      reasoning: null,
      max_output_tokens: null,
    };
    expect(refusalOf({ ...GOOD, ...nulls, temperature: 1, from_the_future: {} })).toBe('accepted');
  });
});

describe('the fault counts', () => {
  it('a count ends the faults of its question, and reset() starts it again', () => {
    const faultCounts = createFaultCounts();
    const create = () => {
      const isLeft = faultCounts.isLeft('a', 2);
      if (isLeft) faultCounts.add('a');
      return isLeft;
    };
    expect([1, 2, 3].map(create)).toEqual([true, true, false]);
    expect(faultCounts.isLeft('b', 1)).toBe(true);
    faultCounts.reset();
    expect(faultCounts.isLeft('a', 2)).toBe(true);
  });
});
