import type { ResultSummary } from '../job/view.ts';

/** Outcome is what a completed job says of its answer, in its view or in its result. */
type Outcome = Pick<ResultSummary, 'refusal' | 'incomplete_reason'> &
  ({ answer: string | null } | { answer_preview: string | null });

/** whyUnanswered says why a completed job is no answer to its question; undefined: it is one. */
export function whyUnanswered(outcome: Outcome): string | undefined {
  const answer = 'answer' in outcome ? outcome.answer : outcome.answer_preview;
  const { refusal, incomplete_reason: reason } = outcome;
  if (refusal !== null) return `the model refused: ${refusal}`;
  if (answer !== null) return undefined;
  return reason === null
    ? 'the upstream sent an answer without text'
    : `the upstream stopped before the first word: ${reason}`;
}
