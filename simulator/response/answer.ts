import { isObject } from '../api/json.ts';
import type { ToolOutput } from '../request/conversation.ts';
import { sampleOf } from '../sample/schema-sample.ts';

/** Question is what the `answer` option is called with. */
export type Question = {
  readonly model: string;
  /** The text of the last user message. */
  readonly text: string;
  /** What the caller's tools answered since that message, in order. */
  readonly toolOutputs: readonly ToolOutput[];
  readonly thinkMs: number;
  /** The body of the create request, as received. */
  readonly body: Readonly<Record<string, unknown>>;
};

const SHOWN_CHARACTERS = 200;
/** How much of a tool's output an answer quotes, in characters. */
const QUOTED_CHARACTERS = 1000;

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
    ...question.toolOutputs.map(
      ({ tool, text }) => `The tool ${tool} answered: ${shorten(text, QUOTED_CHARACTERS)}`,
    ),
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
