import { chatRequestFrom } from '../../../producer/v1/chat/chat-request.ts';

const itemsOf = (...list: object[]) => chatRequestFrom({ model: 'o3', messages: list }).body['input'];

describe('messages as input items', () => {
  const call = (id: string) => ({ id, type: 'function', function: { name: 'now', arguments: '{}' } });
  const breakpoint = { prompt_cache_breakpoint: { mode: 'explicit' } };

  it('stay in their order, with system and developer messages in place', () => {
    const parts = [
      { type: 'text', text: 'Look', ...breakpoint },
      { type: 'image_url', image_url: { url: 'https://example.org/a.png' } },
      { type: 'image_url', image_url: { url: 'data:image/png;base64,aaaa', detail: 'low' }, ...breakpoint },
      { type: 'file', file: { file_id: 'file-1' } },
      { type: 'file', file: { file_data: 'data:application/pdf;base64,aaaa', filename: 'a.pdf' } },
    ];
    expect(
      itemsOf(
        { role: 'system', content: 'Be brief.', name: 'dropped' },
        { role: 'user', content: parts },
        { role: 'developer', content: [{ type: 'text', text: 'Be briefer.' }] },
      ),
    ).toEqual([
      { type: 'message', role: 'system', content: 'Be brief.' },
      {
        type: 'message',
        role: 'user',
        content: [
          { type: 'input_text', text: 'Look', ...breakpoint },
          { type: 'input_image', image_url: 'https://example.org/a.png', detail: 'auto' },
          { type: 'input_image', image_url: 'data:image/png;base64,aaaa', detail: 'low', ...breakpoint },
          { type: 'input_file', file_id: 'file-1' },
          { type: 'input_file', file_data: 'data:application/pdf;base64,aaaa', filename: 'a.pdf' },
        ],
      },
      { type: 'message', role: 'developer', content: [{ type: 'input_text', text: 'Be briefer.' }] },
    ]);
  });

  it('have the text of an answer, then its calls, then their outputs', () => {
    const custom = { id: 'call_3', type: 'custom', custom: { name: 'free', input: 'hm' } };
    expect(
      itemsOf(
        { role: 'assistant', content: 'Let me see.', tool_calls: [call('call_1'), call('call_2'), custom] },
        { role: 'tool', tool_call_id: 'call_2', content: '', name: 'dropped' },
        { role: 'tool', tool_call_id: 'call_1', content: [{ type: 'text', text: 'noon' }] },
        { role: 'tool', tool_call_id: 'call_3', content: 'ok' },
      ),
    ).toEqual([
      {
        ...{ type: 'message', role: 'assistant' },
        content: [{ type: 'output_text', text: 'Let me see.', annotations: [] }],
      },
      { type: 'function_call', call_id: 'call_1', name: 'now', arguments: '{}' },
      { type: 'function_call', call_id: 'call_2', name: 'now', arguments: '{}' },
      { type: 'custom_tool_call', call_id: 'call_3', name: 'free', input: 'hm' },
      { type: 'function_call_output', call_id: 'call_2', output: '' },
      { type: 'function_call_output', call_id: 'call_1', output: [{ type: 'input_text', text: 'noon' }] },
      { type: 'custom_tool_call_output', call_id: 'call_3', output: 'ok' },
    ]);
  });

  it.each([null, '', undefined, []])('have no text of an answer whose content is %j', (content) => {
    expect(itemsOf({ role: 'assistant', content, tool_calls: [call('call_1')] })).toEqual([
      { type: 'function_call', call_id: 'call_1', name: 'now', arguments: '{}' },
    ]);
  });

  it('have the texts of an answer joined, and its refusal', () => {
    const content = [
      { type: 'text', text: 'Well, ' },
      { type: 'text', text: 'no.' },
      { type: 'refusal', refusal: 'I will not.' },
    ];
    const parts = [
      { type: 'output_text', text: 'Well, no.', annotations: [] },
      { type: 'refusal', refusal: 'I will not.' },
    ];
    const message = { type: 'message', role: 'assistant', content: parts };
    expect(itemsOf({ role: 'assistant', content })).toEqual([message]);
    const split = { role: 'assistant', content: content.slice(0, 2), refusal: 'I will not.' };
    expect(itemsOf(split)).toEqual([message]);
  });

  it('may have the output of a call in a stored response', () => {
    const output = [{ role: 'tool', tool_call_id: 'call_before', content: 'ok' }];
    expect(chatRequestFrom({ messages: output, previous_response_id: 'resp_1' }).body['input']).toEqual([
      { type: 'function_call_output', call_id: 'call_before', output: 'ok' },
    ]);
  });
});
