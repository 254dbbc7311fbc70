/** The cases of test/support/openai-clients/run.mjs, and the words of docs/CLIENTS.md for them. */
export const CASES = {
  text: 'whole',
  stream: 'streamed',
  loop: 'tools',
  streamedLoop: 'streamed tools',
  structured: 'schema',
  structuredInParts: 'streamed schema',
  jsonMode: 'JSON mode',
  jsonModeInParts: 'streamed JSON mode',
  refused: 'errors',
} as const;
export type Case = keyof typeof CASES;

/** Client is a program of test/support/openai-clients, in one of the APIs that it speaks. */
export interface Client {
  readonly program: string;
  /** The package that the program tries. */
  readonly package: string;
  readonly api: 'responses' | 'chat' | 'events';
  readonly cases: readonly Case[];
}

const EVERYTHING = ['text', 'stream', 'loop', 'streamedLoop', 'structured', 'refused'] as const;

export const CLIENTS: readonly Client[] = [
  ...inBoth('openai-7', 'openai', EVERYTHING),
  ...inBoth('openai-6', 'openai6', EVERYTHING),
  ...inBoth('agents', '@openai/agents', EVERYTHING),
  ...inBoth('ai-sdk', '@ai-sdk/openai', EVERYTHING),
  ...inBoth('langchain', '@langchain/openai', EVERYTHING),
  ...inBoth('llamaindex', '@llamaindex/openai', EVERYTHING),
  {
    program: 'instructor',
    package: '@instructor-ai/instructor',
    api: 'chat',
    cases: ['structured', 'structuredInParts', 'jsonMode', 'jsonModeInParts', 'refused'],
  },
  { program: 'event-source', package: 'eventsource', api: 'events', cases: ['stream'] },
];

function inBoth(program: string, name: string, cases: readonly Case[]): Client[] {
  return (['responses', 'chat'] as const).map((api) => ({ program, package: name, api, cases }));
}

/** cutsOf returns the cases in which a connection of the client breaks. */
export function cutsOf({ cases }: Client): Case[] {
  return (['text', 'stream'] as const).filter((kind) => cases.includes(kind));
}
