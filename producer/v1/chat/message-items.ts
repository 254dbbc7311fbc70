import {
  cannotCarry,
  type Fields,
  isSet,
  listIn,
  objectIn,
  pick,
  textIn,
  unexpected,
} from './chat-fields.ts';

/** Calls are the tool calls of the messages so far: the type of each by its id. */
type Calls = Map<string, string>;

/**
 * inputItemsFrom turns the messages of a chat into input items of the Responses API. System messages stay
 * where they are: as `instructions` they would change the prompt cache, and models after GPT-6.2 read
 * `instructions` last.
 *
 * @param isContinued whether the chat continues a stored response, which may have the calls of the first
 * outputs.
 * @throws {OpenAiError} for what is no message, and for what cannot be carried.
 */
export function inputItemsFrom(messages: unknown, isContinued: boolean): Fields[] {
  const calls: Calls = new Map();
  const items = listIn(messages, 'messages').flatMap((message, index) => {
    const param = `messages[${index}]`;
    const fields = objectIn(message, param);
    switch (fields['role']) {
      case 'system':
      case 'developer':
      case 'user':
        return [{ type: 'message', role: fields['role'], content: contentFrom(fields, param) }];
      case 'assistant':
        return [...answerFrom(fields, param), ...callsFrom(fields, param, calls)];
      case 'tool':
        return [outputFrom(fields, param, { calls, isContinued })];
      case 'function':
        throw cannotCarry(`${param}.role`, 'send the output as a message with the role `tool`');
      default:
        throw unexpected(`${param}.role`, 'one of system, developer, user, assistant, tool', fields['role']);
    }
  });
  if (items.length === 0) throw unexpected('messages', 'a message with a content', messages);
  return items;
}

function contentFrom({ role, content }: Fields, param: string): string | Fields[] {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw unexpected(`${param}.content`, 'a text or a list of parts', content);
  return content.map((part: unknown, index) => partFrom(part, `${param}.content[${index}]`, role === 'user'));
}

function partFrom(part: unknown, param: string, isFromUser: boolean): Fields {
  const fields = objectIn(part, param);
  const breakpoint = pick(fields, ['prompt_cache_breakpoint']);
  const { type } = fields;
  if (type === 'text') {
    return { type: 'input_text', text: textIn(fields['text'], `${param}.text`), ...breakpoint };
  }
  if (isFromUser && type === 'image_url') {
    const image = objectIn(fields['image_url'], `${param}.image_url`);
    const url = textIn(image['url'], `${param}.image_url.url`);
    return { type: 'input_image', image_url: url, detail: image['detail'] ?? 'auto', ...breakpoint };
  }
  if (isFromUser && type === 'file') {
    const file = objectIn(fields['file'], `${param}.file`);
    return { type: 'input_file', ...pick(file, ['file_id', 'file_data', 'filename']), ...breakpoint };
  }
  if (isFromUser && type === 'input_audio') {
    throw cannotCarry(`${param}.input_audio`, 'its messages take texts, images and files');
  }
  throw unexpected(`${param}.type`, isFromUser ? 'one of text, image_url, file' : 'text', type);
}

/** answerFrom returns the text and the refusal of an assistant's message; nothing if both are empty. */
function answerFrom({ content, refusal, audio, function_call: call }: Fields, param: string): Fields[] {
  if (isSet(audio)) throw cannotCarry(`${param}.audio`);
  if (isSet(call)) throw cannotCarry(`${param}.function_call`, 'use `tool_calls`');
  let text = '';
  let refused = isSet(refusal) ? textIn(refusal, `${param}.refusal`) : '';
  if (typeof content === 'string') text = content;
  else if (isSet(content)) {
    for (const [index, part] of listIn(content, `${param}.content`).entries()) {
      const at = `${param}.content[${index}]`;
      const fields = objectIn(part, at);
      if (fields['type'] === 'text') text += textIn(fields['text'], `${at}.text`);
      else if (fields['type'] === 'refusal') refused += textIn(fields['refusal'], `${at}.refusal`);
      else throw unexpected(`${at}.type`, 'text or refusal', fields['type']);
    }
  }
  const parts = [
    ...(text === '' ? [] : [{ type: 'output_text', text, annotations: [] }]),
    ...(refused === '' ? [] : [{ type: 'refusal', refusal: refused }]),
  ];
  return parts.length === 0 ? [] : [{ type: 'message', role: 'assistant', content: parts }];
}

function callsFrom({ tool_calls: list }: Fields, param: string, calls: Calls): Fields[] {
  if (!isSet(list)) return [];
  return listIn(list, `${param}.tool_calls`).map((call, index) => {
    const at = `${param}.tool_calls[${index}]`;
    const fields = objectIn(call, at);
    const callId = textIn(fields['id'], `${at}.id`);
    const type = fields['type'] ?? 'function';
    if (type !== 'function' && type !== 'custom') {
      throw unexpected(`${at}.type`, 'function or custom', type);
    }
    calls.set(callId, type);
    const called = objectIn(fields[type], `${at}.${type}`);
    const name = textIn(called['name'], `${at}.${type}.name`);
    return type === 'function'
      ? {
          ...{ type: 'function_call', call_id: callId, name },
          arguments: textIn(called['arguments'], `${at}.function.arguments`),
        }
      : {
          ...{ type: 'custom_tool_call', call_id: callId, name },
          input: textIn(called['input'], `${at}.custom.input`),
        };
  });
}

function outputFrom(
  fields: Fields,
  param: string,
  { calls, isContinued }: { calls: Calls; isContinued: boolean },
): Fields {
  const callId = textIn(fields['tool_call_id'], `${param}.tool_call_id`);
  const type = calls.get(callId);
  if (type === undefined && !isContinued) {
    throw unexpected(`${param}.tool_call_id`, 'the id of a tool call in an earlier message', callId);
  }
  return {
    type: type === 'custom' ? 'custom_tool_call_output' : 'function_call_output',
    call_id: callId,
    output: contentFrom(fields, param),
  };
}
