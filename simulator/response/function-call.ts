import { isObject, type JsonObject } from '../request/json.ts';
import { sampleOf } from './json-sample.ts';

/** The function that `tool_choice` leaves no way around: `required`, or one by name. */
export function calledFunction(body: JsonObject): JsonObject | undefined {
  const functions = (Array.isArray(body['tools']) ? body['tools'] : []).filter(
    (tool): tool is JsonObject => isObject(tool) && tool['type'] === 'function',
  );
  const choice = body['tool_choice'];
  if (choice === 'required') return functions[0];
  if (!isObject(choice) || choice['type'] !== 'function') return undefined;
  return functions.find((tool) => tool['name'] === choice['name']);
}

export function argumentsFor(call: JsonObject): string {
  return JSON.stringify(sampleOf(call['parameters']) ?? {});
}
