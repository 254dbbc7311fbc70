import type { JobStatus } from '../../src/job/job.ts';
import { isFinished } from '../../src/job/job.ts';
import type { JobView } from '../../src/job/view.ts';
import { jobNameIn } from './ledger.ts';

/** One job, as somebody outside saw it. */
export interface JobHistory {
  readonly name: string;
  /** undefined: never seen; perhaps it was never made. */
  id: string | undefined;
  /** Its enqueueing was answered with 202. */
  accepted: boolean;
  /** When the first cancel was answered with anything but a refusal, in Unix milliseconds. */
  cancelAnsweredAt: number | undefined;
  /** Every status from the first finished one on, each once as long as it stays the same. One, when all is well. */
  readonly ends: JobStatus[];
}

/** Everything that was seen of all jobs. */
export interface History {
  readonly jobs: ReadonlyMap<string, JobHistory>;
  accepted(view: JobView): void;
  cancelAnswered(view: JobView, at: number): void;
  saw(view: JobView): void;
  /** Jobs of which a finished status was seen. */
  readonly finished: number;
}

export function createHistory(): History {
  const jobs = new Map<string, JobHistory>();
  const jobOf = (view: JobView): JobHistory => {
    const name = jobNameIn(view.question);
    const known = jobs.get(name) ?? {
      name,
      id: undefined,
      accepted: false,
      cancelAnsweredAt: undefined,
      ends: [],
    };
    known.id = view.id;
    jobs.set(name, known);
    return known;
  };
  const saw = (view: JobView): void => {
    const { ends } = jobOf(view);
    const last = ends.at(-1);
    if (view.status !== last && (last !== undefined || isFinished(view.status))) ends.push(view.status);
  };
  return {
    jobs,
    saw,
    accepted(view) {
      jobOf(view).accepted = true;
    },
    cancelAnswered(view, at) {
      jobOf(view).cancelAnsweredAt ??= at;
      saw(view);
    },
    get finished() {
      return [...jobs.values()].filter(({ ends }) => ends.length > 0).length;
    },
  };
}
