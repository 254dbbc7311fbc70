import { answerOf, type UpstreamResponse } from '../../../src/responses/response.ts';
import { wellFormed } from '../../../src/responses/well-formed.ts';
import { message, reasoning } from '../../support/openai/streamed-items.ts';

const ended: UpstreamResponse = { id: 'resp_1', status: 'completed' };
const says = (content: unknown, more: object = { type: 'message' }): UpstreamResponse => ({
  ...ended,
  output: [reasoning('rs_1', ['Hm.']), { id: 'msg_1', role: 'assistant', ...more, content }],
});

it.each<[string, UpstreamResponse]>([
  ['as OpenAI has it', { ...ended, output: [message('msg_1', 'It is heavy.')] }],
  ['as the content of a message', says('It is heavy.')],
  [
    'in parts of type text',
    says([
      { type: 'text', text: 'It is ' },
      { type: 'text', text: 'heavy.' },
    ]),
  ],
  ['in an item without a type', says([{ type: 'output_text', text: 'It is heavy.' }], {})],
  ['in output_text of the response', { ...ended, output: [], output_text: 'It is heavy.' }],
  ['in output_text of the response alone', { ...ended, output_text: 'It is heavy.' }],
])('An answer is found %s', (_where, response) => {
  expect(answerOf(wellFormed(response))).toBe('It is heavy.');
});

it('An answer is not said again by output_text', () => {
  const twice = { ...ended, output: [message('msg_1', 'It is heavy.')], output_text: 'It is heavy.' };
  expect(wellFormed(twice)).toEqual(twice);
});

it('A response that OpenAI could have sent stays as it is', () => {
  const whole = { ...ended, output: [reasoning('rs_1', ['Hm.']), message('msg_1', 'It is heavy.')] };
  expect(wellFormed(whole)).toEqual(whole);
  expect(wellFormed({ ...ended, error: null })).toEqual({ ...ended, error: null });
});

it('A response with an error and without a status has failed', () => {
  const error = { code: 'invalid_prompt', message: 'No.' };
  expect(wellFormed({ id: 'resp_1', output: [], error })).toMatchObject({ status: 'failed', error });
});
