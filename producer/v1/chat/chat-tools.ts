import {
  type Fields,
  isSet,
  listIn,
  objectIn,
  pick,
  textIn,
  unexpected,
  unknownParameter,
} from './chat-fields.ts';

/**
 * toolsFrom turns tools of a chat into tools of the Responses API, where the fields of a function stand at
 * the top. `strict` is always named: its default is false in a chat, and not in the Responses API.
 * @throws {OpenAiError}
 */
export function toolsFrom(tools: unknown): Fields[] {
  return listIn(tools, 'tools').map((tool, index) => {
    const param = `tools[${index}]`;
    const { type, ...fields } = objectIn(tool, param);
    if (type === 'function') return functionFrom(objectIn(fields['function'], `${param}.function`), param);
    if (type === 'custom') return customFrom(objectIn(fields['custom'], `${param}.custom`), param);
    const expected = 'function or custom (`/v1/responses` takes the other tools)';
    throw unexpected(`${param}.type`, expected, type);
  });
}

function functionFrom(fields: Fields, param: string): Fields {
  return {
    type: 'function',
    name: textIn(fields['name'], `${param}.function.name`),
    ...pick(fields, ['description']),
    parameters: fields['parameters'] ?? { type: 'object', properties: {} },
    strict: fields['strict'] ?? false,
  };
}

function customFrom(fields: Fields, param: string): Fields {
  const name = textIn(fields['name'], `${param}.custom.name`);
  return { type: 'custom', name, ...pick(fields, ['description']), ...formatOf(fields, param) };
}

function formatOf({ format }: Fields, param: string): Fields {
  if (!isSet(format)) return {};
  const { grammar, ...rest } = objectIn(format, `${param}.custom.format`);
  if (rest['type'] !== 'grammar') return { format: rest };
  return {
    format: {
      ...rest,
      ...pick(objectIn(grammar, `${param}.custom.format.grammar`), ['definition', 'syntax']),
    },
  };
}

/** toolChoiceFrom turns a `tool_choice` of a chat into one of the Responses API. @throws {OpenAiError} */
export function toolChoiceFrom(choice: unknown): unknown {
  if (typeof choice === 'string') return choice;
  const { type, ...fields } = objectIn(choice, 'tool_choice');
  if (type === 'function' || type === 'custom') return namedTool(type, fields, 'tool_choice');
  if (type !== 'allowed_tools') {
    throw unexpected('tool_choice.type', 'one of function, custom, allowed_tools', type);
  }
  const param = 'tool_choice.allowed_tools';
  const { tools, ...allowed } = objectIn(fields['allowed_tools'], param);
  return {
    type,
    ...pick(allowed, ['mode']),
    tools: listIn(tools, `${param}.tools`).map((tool, index) => {
      const at = `${param}.tools[${index}]`;
      const { type: kind, ...named } = objectIn(tool, at);
      if (kind === 'function' || kind === 'custom') return namedTool(kind, named, at);
      throw unexpected(`${at}.type`, 'function or custom', kind);
    }),
  };
}

function namedTool(type: 'function' | 'custom', fields: Fields, param: string): Fields {
  const named = objectIn(fields[type], `${param}.${type}`);
  return { type, name: textIn(named['name'], `${param}.${type}.name`) };
}

/**
 * textFormatFrom turns a `response_format` into the `text.format` of the Responses API. The schema stays as
 * it is.
 * @throws {OpenAiError}
 */
export function textFormatFrom(format: unknown): Fields {
  const { type, ...fields } = objectIn(format, 'response_format');
  // Some servers take a schema beside `json_object`. Without it the model would not know what to answer.
  if (type === 'json_object' && isSet(fields['schema'])) throw unknownParameter('response_format.schema');
  if (type === 'text' || type === 'json_object') return { type };
  if (type !== 'json_schema') {
    throw unexpected('response_format.type', 'one of text, json_object, json_schema', type);
  }
  const param = 'response_format.json_schema';
  const schema = objectIn(fields['json_schema'], param);
  return {
    type,
    name: textIn(schema['name'], `${param}.name`),
    ...pick(schema, ['description']),
    schema: schema['schema'] ?? {},
    strict: schema['strict'] ?? false,
  };
}
