import type { JobStatus } from '../../src/job/job.ts';
import { isFinished } from '../../src/job/job.ts';
import type { JobView } from '../../src/job/view.ts';
import { jobNameIn } from './ledger.ts';

/** JobHistory is what the callers saw of one job. */
export interface JobHistory {
  readonly name: string;
  /** The id of the job; undefined: no caller ever saw it, and perhaps the job was never created. */
  id: string | undefined;
  /** Whether the request to enqueue the job was answered with 202. */
  accepted: boolean;
  /** When the first cancel was accepted, in Unix milliseconds. */
  cancelAnsweredAt: number | undefined;
  /**
   * The statuses that callers saw, from the first finished one on, without repetitions in a row. If all is
   * well, there is exactly one.
   */
  readonly ends: JobStatus[];
}

/** History is what the callers saw of all jobs. */
export interface History {
  readonly jobs: ReadonlyMap<string, JobHistory>;
  accepted(view: JobView): void;
  cancelAnswered(view: JobView, at: number): void;
  saw(view: JobView): void;
  /** The number of jobs with a finished status. */
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
