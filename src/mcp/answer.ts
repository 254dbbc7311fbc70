import { numberText } from '../client/quantity.ts';
import type { JobResult } from '../job/view.ts';
import { whyUnanswered } from '../responses/unanswered.ts';
import { costText } from './sentences.ts';
import { errorResult, type JobFacts, type ToolResult, textResult } from './tool.ts';

/**
 * The most characters of one part of an answer, in UTF-16 code units. Claude Code puts a result of more than
 * 25,000 tokens into a file, and Codex cuts long results in the middle.
 */
const PART_LENGTH = 24_000;
/** A part ends with a line when a line ends in this last share of it. */
const LINE_END_WITHIN = 0.25;

/**
 * answerResult is a part of a completed job's answer, with a last line about the whole.
 *
 * @param offset where the part begins, in UTF-16 code units.
 * @param more what else the last line says. Default: nothing.
 */
export function answerResult(id: string, result: JobResult, offset: number, more = ''): ToolResult {
  const answer = result.answer ?? '';
  const facts: JobFacts = {
    id,
    status: 'completed',
    cost_usd: result.cost_usd,
    length: answer.length,
  };
  const reason = whyUnanswered({ ...result, answer: result.answer });
  if (reason !== undefined) {
    return textResult(`${id} is completed without an answer: ${reason}${costOf(result)}.`, facts);
  }
  if (offset > 0 && offset >= answer.length) {
    const length = numberText(answer.length);
    return errorResult(`The answer of ${id} has ${length} characters: there is none at ${offset}.`, facts);
  }
  const { from, to } = partAt(answer, offset);
  const isLast = to === answer.length;
  const note = [noteOf(id, result, { from, to }), more].filter((text) => text !== '').join('. ');
  return textResult(`${answer.slice(from, to)}\n\n[${note}]`, {
    ...facts,
    ...(!isLast && { next_offset: to }),
  });
}

/** partAt returns where the part at an offset begins and ends. No part begins or ends inside a character. */
export function partAt(text: string, offset: number): { from: number; to: number } {
  const from = splitsCharacter(text, offset) ? offset - 1 : offset;
  const most = from + PART_LENGTH;
  if (most >= text.length) return { from, to: text.length };
  const lineEnd = text.lastIndexOf('\n', most - 1) + 1;
  if (lineEnd > most - PART_LENGTH * LINE_END_WITHIN) return { from, to: lineEnd };
  return { from, to: splitsCharacter(text, most) ? most - 1 : most };
}

/** splitsCharacter says whether a place is between the two code units of one character. */
function splitsCharacter(text: string, at: number): boolean {
  return at > 0 && /[\uD800-\uDBFF]/.test(text[at - 1] ?? '') && /[\uDC00-\uDFFF]/.test(text[at] ?? '');
}

function noteOf(id: string, result: JobResult, { from, to }: { from: number; to: number }): string {
  const length = (result.answer ?? '').length;
  const cut = result.incomplete_reason === null ? '' : `; the upstream cut it: ${result.incomplete_reason}`;
  const whole = `${numberText(length)} characters${costOf(result)}${cut}`;
  if (from === 0 && to === length) return `${id}: the whole answer, ${whole}`;
  const part = `${id}: characters ${numberText(from + 1)} to ${numberText(to)} of ${whole}`;
  return to === length ? `${part}; this is the last part` : `${part}; go on with get_o3_result, offset ${to}`;
}

function costOf(result: JobResult): string {
  const cost = costText(result);
  if (cost === '') return '';
  return cost === 'simulated' ? ', simulated: no model was asked' : `, ${cost}`;
}
