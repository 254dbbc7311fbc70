import type { ResultSummary } from '../job/view.ts';

/** Outcome is what a completed job's view or result says about its answer. */
type Outcome = Pick<ResultSummary, 'refusal' | 'incomplete_reason'> &
  ({ answer: string | null } | { answer_preview: string | null });

/** whyUnanswered says why a completed job does not answer its question; undefined: the job has an answer. */
export function whyUnanswered(outcome: Outcome): string | undefined {
  const answer = 'answer' in outcome ? outcome.answer : outcome.answer_preview;
  const { refusal, incomplete_reason: reason } = outcome;
  if (refusal !== null) return `the model refused: ${refusal}`;
  if (answer !== null) return undefined;
  return reason === null
    ? 'the upstream sent an answer without text'
    : `the upstream stopped before the first word: ${reason}`;
}
