import { stringifyExact } from '../../../src/job/exact-json.ts';
import type { JobResult } from '../../../src/job/view.ts';
import { whyUnanswered } from '../../../src/responses/unanswered.ts';
import type { LineError, Origin } from './input-line.ts';
import { type BatchKey, keyText } from './key.ts';

/**
 * LineOutcome is how a line of the input ended. `refused`: it never became a job. `gone`: the instance no
 * longer has its job, so the answer is lost.
 */
export type LineOutcome =
  | { status: 'completed'; id: string; result: JobResult }
  | { status: 'failed' | 'cancelled'; id: string; error: LineError; costUsd: number | null }
  | { status: 'gone'; id: string; error: LineError }
  | { status: 'refused'; error: LineError };

/** costOf returns what a line cost in US dollars; null when it cost nothing or the cost is unknown. */
export function costOf(outcome: LineOutcome): number | null {
  switch (outcome.status) {
    case 'completed':
      return outcome.result.cost_usd;
    case 'failed':
    case 'cancelled':
      return outcome.costUsd;
    case 'gone':
    case 'refused':
      return null;
    default:
      return outcome satisfies never;
  }
}

/** Every output line without an error ends with this text, because `error` is always the last field. */
const NO_ERROR = '"error":null}';

/**
 * answerLine writes a line of the output: in the format of OpenAI's Batch API if the input line was, else in
 * ours.
 */
export function answerLine(key: BatchKey, origin: Origin, outcome: LineOutcome): string {
  return stringifyExact(
    origin.format === 'openai' ? openAiLine(key, origin, outcome) : ourLine(key, origin, outcome),
  );
}

/** isAnswered says whether an output line holds an answer. @param ending the last characters of the line. */
export function isAnswered(ending: string): boolean {
  return ending.endsWith(NO_ERROR);
}

/** errorOf says why a line has no answer; null: it has one. A model that refuses has not answered. */
export function errorOf(outcome: LineOutcome): { code: string; message: string } | null {
  if (outcome.status !== 'completed') return outcome.error;
  const reason = whyUnanswered(outcome.result);
  return reason === undefined ? null : { code: 'no_answer', message: reason };
}

function openAiLine(key: BatchKey, { customId }: Origin, outcome: LineOutcome): object {
  return {
    id: keyText(key),
    custom_id: customId,
    response:
      outcome.status === 'completed'
        ? { status_code: 200, request_id: outcome.id, body: outcome.result.response }
        : null,
    error: errorOf(outcome),
  };
}

function ourLine(key: BatchKey, origin: Origin & { format: 'ours' }, outcome: LineOutcome): object {
  const result = outcome.status === 'completed' ? outcome.result : undefined;
  return {
    line: key.line,
    key: keyText(key),
    ...(origin.customId !== undefined && { custom_id: origin.customId }),
    id: outcome.status === 'refused' ? null : outcome.id,
    status: outcome.status,
    answer: result?.answer ?? null,
    usage: result?.usage ?? null,
    cost_usd: costOf(outcome),
    incomplete_reason: result?.incomplete_reason ?? null,
    refusal: result?.refusal ?? null,
    ...(origin.metadata !== undefined && { metadata: origin.metadata }),
    error: errorOf(outcome),
  };
}
