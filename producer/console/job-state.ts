import type { JobEvent } from '../../src/job/event.ts';
import type { JobView } from '../../src/job/view.ts';

/** JobState is what the page of a job shows and what changes while the job runs. */
export interface JobState {
  readonly job: JobView;
  /** The answer of the latest attempt, as far as it is known. */
  readonly answer: string;
  /** The model's summary of its reasoning in the latest attempt, as far as it is known. */
  readonly reasoning: string;
  /** The attempts after the first one, each with what ended the attempt before it. */
  readonly retries: readonly Retry[];
}

export interface Retry {
  readonly attempt: number;
  readonly reason: string;
}

/** stateOf is the state of a job of which only its view is known. */
export function stateOf(job: JobView): JobState {
  return { job, answer: '', reasoning: '', retries: [] };
}

/** afterEvent returns the state after one more event of the job's stream. */
export function afterEvent(state: JobState, { type, data }: JobEvent): JobState {
  switch (type) {
    case 'status':
    case 'done':
      return { ...state, job: data };
    case 'delta':
      return { ...state, answer: state.answer + data.text };
    case 'reasoning':
      return { ...state, reasoning: state.reasoning + data.text };
    case 'attempt':
      return { ...state, answer: '', reasoning: '', retries: [...state.retries, data] };
    default:
      return type satisfies never;
  }
}
