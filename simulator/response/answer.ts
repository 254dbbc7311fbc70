import { isObject } from '../request/json.ts';
import type { Question } from '../request/question.ts';
import { sampleOf } from './json-sample.ts';

const SHOWN_CHARACTERS = 200;

/** Says what it is in its first words: nobody may take it for a model's answer. */
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

export function shorten(text: string, characters = SHOWN_CHARACTERS): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > characters ? `${line.slice(0, characters)}...` : line;
}

function seconds(milliseconds: number): string {
  return `${Number((milliseconds / 1000).toPrecision(2))} s`;
}
