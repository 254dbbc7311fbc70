import type { z } from 'zod';
import { continuationOf } from '../../../src/job/ids/named-responses.ts';
import {
  type JobRequest,
  jobDataFrom,
  jobRequest,
  parseJobData,
  parseJobRequest,
  requestedModel,
  responsesBodyFrom,
} from '../../../src/job/request.ts';
import { needOf, optionsFrom } from '../../../src/job/stored-options.ts';
import { questionPreview } from '../../../src/responses/question.ts';

const question = { question: 'Why?' };
const request = (body: Record<string, unknown>) => ({ request: body });

describe('a request', () => {
  it('is accepted unchanged at its limits', () => {
    const whole = {
      question: 'Why?',
      context: '',
      instructions: 'Be short.',
      reasoning_effort: 'xhigh',
      max_output_tokens: 16,
      metadata: Object.fromEntries(
        Array.from({ length: 16 }, (_, i) => [`${i}`.padEnd(64, 'k'), 'v'.repeat(512)]),
      ),
      stream: false,
      timeout_ms: 2_147_483_647,
      needed_by: '2000-01-01T00:00:00+14:00',
      on_late: 'buy_again',
      model: 'o3',
      priority: 2_097_151,
      delay_ms: 31_622_400_000,
      max_attempts: 1000,
    };
    expect(parseJobRequest(whole)).toEqual(whole);
  });

  it('has a type, written out for editors, that equals the type of its schema', () => {
    // The compiler refuses these functions when the types differ.
    const written = (request: z.infer<typeof jobRequest>): JobRequest => request;
    const inferred = (request: JobRequest): z.infer<typeof jobRequest> => request;
    expect(inferred(written(jobRequest.parse(question)))).toEqual(question);
  });

  it.each([question, request({ input: 'x' })])(
    'says what to do when it is late only if it says when: %j',
    (asked) => {
      expect(() => parseJobRequest({ ...asked, on_late: 'wait' })).toThrow(
        'on_late: expected "needed_by" beside it, which says when the answer is late, got none',
      );
      expect(() => parseJobRequest({ ...asked, needed_by: 'tomorrow' })).toThrow(
        'needed_by: expected a time in ISO 8601 with its zone',
      );
    },
  );

  it('keeps fields of the Responses API that this queue does not know', () => {
    const body = {
      input: [{ role: 'user', content: 'x' }],
      tools: [{ type: 'web_search' }],
      invented: { a: null },
    };
    expect(parseJobRequest(request(body))).toEqual(request(body));
    expect(parseJobRequest(request({ prompt: { id: 'pmpt_1' } }))).toEqual(
      request({ prompt: { id: 'pmpt_1' } }),
    );
    expect(parseJobRequest(request({ input: 'x', metadata: null, stream: null }))).toMatchObject({
      request: { metadata: null, stream: null },
    });
  });

  it('may be 200 levels deep', () => {
    const nested = JSON.parse(`${'['.repeat(198)}1${']'.repeat(198)}`) as unknown;
    expect(() => parseJobRequest(request({ input: [nested] }))).not.toThrow();
    expect(() => parseJobRequest(request({ input: [[nested]] }))).toThrow('at most 200 levels, got more');
  });

  it('may name its model in two places, of which the outer one counts', () => {
    expect(requestedModel(parseJobRequest(question))).toBeUndefined();
    expect(requestedModel(parseJobRequest({ ...question, model: 'a' }))).toBe('a');
    expect(requestedModel(parseJobRequest(request({ input: 'x', model: 'b' })))).toBe('b');
    expect(requestedModel(parseJobRequest({ ...request({ input: 'x', model: 'b' }), model: 'a' }))).toBe('a');
  });
});

describe('the data of a job', () => {
  it('is the request without what BullMQ keeps itself', () => {
    const asked = parseJobRequest({
      ...question,
      model: 'o3',
      priority: 1,
      delay_ms: 1,
      max_attempts: 1,
      timeout_ms: 5,
    });
    expect(jobDataFrom(asked, true)).toEqual({ ...question, timeout_ms: 5, stream: true });
  });

  it.each([
    [
      'the caller’s option beside the body',
      { ...request({ input: 'x', stream: true }), stream: false },
      true,
      false,
    ],
    ['what the caller says, inside', request({ input: 'x', stream: false }), true, false],
    ['the default, when there is null', request({ input: 'x', stream: null }), true, true],
    ['the default, when there is nothing', question, false, false],
  ])('streams by %s', (_what, asked, byDefault, expected) => {
    expect(jobDataFrom(parseJobRequest(asked), byDefault).stream).toBe(expected);
  });

  it('goes through Redis and back', () => {
    for (const asked of [question, request({ input: 'x', model: 'o3', odd: [1] })]) {
      const data = jobDataFrom(parseJobRequest(asked), true);
      expect(parseJobData(JSON.parse(JSON.stringify(data)))).toEqual(data);
    }
  });

  it('is refused when it holds options that are not data', () => {
    expect(() => parseJobData({ ...question, model: 'o3' })).toThrow('got "model"');
    expect(() => parseJobData(null)).toThrow('expected object, got null');
  });
});

describe('what a dispatcher sees of a job', () => {
  it('is how soon the answer is needed, and the completion window for which the body itself asks', () => {
    const body = (window: unknown) => ({ input: 'x', background_options: { completion_window: window } });
    expect(needOf({ input: 'x' }, '2026-11-30T08:00:00+01:00')).toMatchObject({
      by: Date.parse('2026-11-30T07:00:00Z'),
    });
    expect(needOf(body('8h'))).toMatchObject({ window: '8h' });
    for (const nothing of [{ input: 'x' }, body('soonest'), body(7), { background_options: null }]) {
      expect(needOf(nothing)).not.toHaveProperty('window');
      expect(needOf(nothing)).not.toHaveProperty('by');
    }
  });

  it('may be a part of what our producers write, and is read without what is no such value', () => {
    const need = { by: 1_800_000_000_000, window: 8, effort: 'low' };
    expect(optionsFrom({ need }).need).toEqual({ by: 1_800_000_000_000, effort: 'low' });
  });
});

describe('a chain of responses', () => {
  it.each([
    ['job_0', 'job_root', 'job_root'],
    ['job_0', undefined, 'job_0'],
    ['7', undefined, undefined],
    ['an id of another client', undefined, undefined],
  ])('of job %j, whose data names %j, is %j', (id, stored, chain) => {
    expect(continuationOf(id, stored)).toBe(chain);
  });
});

describe('the body for the upstream', () => {
  it('of a question has the fields of the question, and no others', () => {
    expect(responsesBodyFrom(parseJobData(question), 'o3-2025')).toEqual({ model: 'o3-2025', input: 'Why?' });
    const data = {
      ...question,
      context: 'Because.',
      instructions: 'Be short.',
      reasoning_effort: 'low',
      max_output_tokens: 100,
      metadata: { a: 'b' },
      stream: true,
      timeout_ms: 5,
    };
    expect(responsesBodyFrom(parseJobData(data), 'o3')).toEqual({
      model: 'o3',
      input: 'Context:\nBecause.\n\nQuestion:\nWhy?',
      instructions: 'Be short.',
      reasoning: { effort: 'low' },
      max_output_tokens: 100,
      metadata: { a: 'b' },
    });
  });

  it('of a request is its body with the upstream’s model, without background and stream', () => {
    const body = { model: 'o3', input: 'x', stream: true, background: false, store: true, odd: 1 };
    expect(responsesBodyFrom(parseJobData(request(body)), 'o3-2025')).toEqual({
      model: 'o3-2025',
      input: 'x',
      store: true,
      odd: 1,
    });
  });
});

describe('the question that the board shows', () => {
  it.each([
    ['Why?', 'Why?'],
    [[{ role: 'user', content: 'Why?' }], 'Why?'],
    [
      [
        { role: 'user', content: 'First?' },
        { role: 'assistant', content: 'Yes.' },
        { role: 'user', content: 'Then?' },
      ],
      'Then?',
    ],
    [
      [
        {
          role: 'user',
          content: [
            { type: 'input_text', text: 'Why' },
            { type: 'input_image' },
            { type: 'input_text', text: 'not?' },
          ],
        },
      ],
      'Why not?',
    ],
    [[{ content: 'No role?' }], 'No role?'],
    [[{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }], '(no text)'],
    [[null, 5, 'x', []], '(no text)'],
    [undefined, '(prompt template)'],
  ])('of %j is %j', (input, expected) => {
    const body = input === undefined ? { prompt: { id: 'p' } } : { input };
    expect(questionPreview(parseJobRequest(request(body)))).toBe(expected);
  });
});
