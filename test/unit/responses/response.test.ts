import { answerOf, incompleteReasonOf, refusalOf, usageOf } from '../../../src/responses/response.ts';
import { whyUnanswered } from '../../../src/responses/unanswered.ts';
import { call, message, reasoning, refusal } from '../../support/openai/streamed-items.ts';

const withOutput = (...output: object[]) => ({ id: 'r', output });

describe('the answer of a response', () => {
  it.each([
    ['its text', [message('m', 'Yes.')], 'Yes.', null],
    ['the texts of all messages', [message('m', 'Yes'), message('n', '.')], 'Yes.', null],
    ['none where the model refuses', [refusal('m', 'Never.')], null, 'Never.'],
    ['none after reasoning alone', [reasoning('rs', ['Hm.'])], null, null],
    ['none where there is no output', [], null, null],
    ['none in an empty text', [message('m', '')], null, null],
    [
      'the final answer without the commentary before it',
      [
        { ...message('m', 'Let me see. '), phase: 'commentary' },
        { ...message('n', 'Yes.'), phase: 'final_answer' },
      ],
      'Yes.',
      null,
    ],
    ['commentary where that is all', [{ ...message('m', 'Hm.'), phase: 'commentary' }], 'Hm.', null],
    ['an empty text beside a call', [call('fc', 'look', '{}')], '', null],
  ])('is %s', (_what, output, answer, words) => {
    expect(answerOf(withOutput(...output))).toBe(answer);
    expect(refusalOf(withOutput(...output))).toBe(words);
  });

  it('was cut short for a reason, which may be unknown', () => {
    expect(incompleteReasonOf({ id: 'r', incomplete_details: { reason: 'content_filter' } })).toBe(
      'content_filter',
    );
    expect(incompleteReasonOf({ id: 'r', status: 'incomplete', incomplete_details: null })).toBe('unknown');
    expect(incompleteReasonOf({ id: 'r', status: 'completed' })).toBeNull();
  });

  it.each([
    [{ answer: 'Yes.', refusal: null, incomplete_reason: 'max_output_tokens' }, undefined],
    [{ answer: null, refusal: 'Never.', incomplete_reason: null }, 'the model refused: Never.'],
    [{ answer: 'I would, but', refusal: 'Never.', incomplete_reason: null }, 'the model refused: Never.'],
    [
      { answer: null, refusal: null, incomplete_reason: 'x' },
      'the upstream stopped before the first word: x',
    ],
    [{ answer: null, refusal: null, incomplete_reason: null }, 'the upstream sent an answer without text'],
  ])('%j is unanswered because: %s', (result, reason) => {
    expect(whyUnanswered(result)).toBe(reason);
  });
});

describe('the usage of a response', () => {
  it.each([
    ['null', null],
    ['nothing', {}],
    ['words', { input_tokens: 'ten', output_tokens: '20' }],
    ['one number', { input_tokens: 10, output_tokens: null }],
    ['a total alone', { total_tokens: 30 }],
    ['zeros', { input_tokens: 0, output_tokens: 0, total_tokens: 0 }],
    ['numbers below zero', { input_tokens: -1, output_tokens: 20 }],
    ['no output for a text', { input_tokens: 10, output_tokens: 0 }],
  ])('is unknown where the upstream says %s', (_what, usage) => {
    expect(usageOf({ ...withOutput(message('m', 'Yes.')), usage })).toBeNull();
  });

  it('may be in texts', () => {
    const usage = { input_tokens: '10', output_tokens: '20', total_tokens: '30' };
    expect(usageOf({ id: 'r', usage })).toMatchObject({
      input_tokens: 10,
      output_tokens: 20,
      total_tokens: 30,
    });
  });

  it('may have the names of Chat Completions', () => {
    const usage = {
      prompt_tokens: 10,
      completion_tokens: 20,
      prompt_tokens_details: { cached_tokens: 4 },
      completion_tokens_details: { reasoning_tokens: 5 },
    };
    expect(usageOf({ id: 'r', usage })).toEqual({
      input_tokens: 10,
      cached_tokens: 4,
      cache_write_tokens: 0,
      output_tokens: 20,
      reasoning_tokens: 5,
      total_tokens: 30,
    });
  });
});
