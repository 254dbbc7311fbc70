import { isObject, type JsonObject } from '../api/json.ts';

/** Question is what the `answer` option is called with. */
export type Question = {
  readonly model: string;
  /** The text of the last user message. */
  readonly text: string;
  readonly thinkMs: number;
  /** The body of the create request, as received. */
  readonly body: Readonly<Record<string, unknown>>;
};

const SHOWN_CHARACTERS = 200;
/**
 * The depth below which a sample of a schema is null. The caller sends the schema, and may nest it without
 * limit.
 */
const MAX_DEPTH = 6;

/**
 * simulatedAnswer writes an answer that says in its first words that it is simulated. Neither a person nor a
 * program should take it for a model's answer.
 */
export function simulatedAnswer(question: Question): string {
  const format = isObject(question.body['text']) ? question.body['text']['format'] : undefined;
  if (isObject(format) && format['type'] === 'json_schema') return JSON.stringify(sampleOf(format['schema']));
  if (isObject(format) && format['type'] === 'json_object') {
    return JSON.stringify({ simulated: true, question: shorten(question.text) });
  }
  return [
    'This is a simulated answer: no model was asked and nothing was spent.',
    `You asked ${question.model}: "${shorten(question.text)}"`,
    `The simulator thought about it for ${seconds(question.thinkMs)}, where a real model may take minutes.`,
    'Set OPENAI_API_KEY to get real answers; everything else stays as it is.',
  ].join(' ');
}

export function simulatedSummary(question: string): string {
  return `**Weighing the question**\n\nThis is a simulated summary of reasoning about "${shorten(question)}". First the terms, then the cases, then the answer.`;
}

/** shorten puts a text on one line and cuts it after `characters` characters. */
export function shorten(text: string, characters = SHOWN_CHARACTERS): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > characters ? `${line.slice(0, characters)}...` : line;
}

function seconds(milliseconds: number): string {
  return `${Number((milliseconds / 1000).toPrecision(2))} s`;
}

/**
 * calledFunction returns the function that `tool_choice` forces the model to call: the named one, or with
 * `required` the first one. undefined: the model is not forced.
 */
export function calledFunction(body: JsonObject): JsonObject | undefined {
  const functions = (Array.isArray(body['tools']) ? body['tools'] : []).filter(
    (tool): tool is JsonObject => isObject(tool) && tool['type'] === 'function',
  );
  const choice = body['tool_choice'];
  if (choice === 'required') return functions[0];
  if (!isObject(choice) || choice['type'] !== 'function') return undefined;
  return functions.find((tool) => tool['name'] === choice['name']);
}

/** argumentsFor makes up arguments that fit a function's parameters, as JSON. */
export function argumentsFor(call: JsonObject): string {
  return JSON.stringify(sampleOf(call['parameters']) ?? {});
}

/**
 * sampleOf returns a small value that matches a JSON schema. It knows types, enums and required properties
 * only.
 */
function sampleOf(schema: unknown, depth = 0): unknown {
  if (!isObject(schema) || depth > MAX_DEPTH) return null;
  if ('const' in schema) return schema['const'];
  const choices = schema['enum'];
  if (Array.isArray(choices)) return choices[0];
  const type = Array.isArray(schema['type']) ? schema['type'][0] : schema['type'];
  switch (type) {
    case 'string':
      return 'simulated';
    case 'integer':
    case 'number':
      return typeof schema['minimum'] === 'number' ? schema['minimum'] : 0;
    case 'boolean':
      return true;
    case 'array':
      return [];
    case 'object':
      return sampleObject(schema['properties'], schema['required'], depth);
    default:
      return null;
  }
}

function sampleObject(properties: unknown, required: unknown, depth: number): unknown {
  if (!isObject(properties)) return {};
  const names = Array.isArray(required) ? required : Object.keys(properties);
  return Object.fromEntries(names.map((name) => [name, sampleOf(properties[String(name)], depth + 1)]));
}
