import type { JobResult } from '../../src/job/job.ts';
import { type BatchKey, keyText } from './key.ts';
import type { Origin, Refusal } from './question.ts';

/**
 * How a line ended. `refused`: it never was a job. `gone`: the instance has forgotten its job, and the answer with it.
 */
export type Fate =
  | { status: 'completed'; id: string; result: JobResult }
  | { status: 'failed' | 'cancelled'; id: string; error: Refusal; costUsd: number | null }
  | { status: 'gone'; id: string; error: Refusal }
  | { status: 'refused'; error: Refusal };

/** US dollars; null: unknown, or nothing. */
export function costOf(fate: Fate): number | null {
  switch (fate.status) {
    case 'completed':
      return fate.result.cost_usd;
    case 'failed':
    case 'cancelled':
      return fate.costUsd;
    case 'gone':
    case 'refused':
      return null;
    default:
      return fate satisfies never;
  }
}

/** Every line without an error ends like this; nothing else stands behind the error. */
const NO_ERROR = '"error":null}';

/** A line of the output: in the form of OpenAI's Batch API where the input was, in ours otherwise. */
export function answerLine(key: BatchKey, origin: Origin, fate: Fate): string {
  return JSON.stringify(
    origin.format === 'openai' ? openAiLine(key, origin, fate) : ourLine(key, origin, fate),
  );
}

/** @param ending of a line of an output. */
export function isAnswered(ending: string): boolean {
  return ending.endsWith(NO_ERROR);
}

function openAiLine(key: BatchKey, { customId }: Origin, fate: Fate): object {
  return {
    id: keyText(key),
    custom_id: customId,
    response:
      fate.status === 'completed'
        ? { status_code: 200, request_id: fate.id, body: fate.result.response }
        : null,
    error: fate.status === 'completed' ? null : fate.error,
  };
}

function ourLine(key: BatchKey, origin: Origin & { format: 'ours' }, fate: Fate): object {
  const result = fate.status === 'completed' ? fate.result : undefined;
  return {
    line: key.line,
    key: keyText(key),
    ...(origin.customId !== undefined && { custom_id: origin.customId }),
    id: fate.status === 'refused' ? null : fate.id,
    status: fate.status,
    answer: result?.answer ?? null,
    usage: result?.usage ?? null,
    cost_usd: costOf(fate),
    incomplete_reason: result?.incomplete_reason ?? null,
    ...(origin.metadata !== undefined && { metadata: origin.metadata }),
    error: fate.status === 'completed' ? null : fate.error,
  };
}
