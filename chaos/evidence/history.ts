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
  /** When a caller first saw a finished status, in Unix milliseconds. */
  endSeenAt: number | undefined;
}

/** History is what the callers saw of all jobs. */
export interface History {
  readonly jobs: ReadonlyMap<string, JobHistory>;
  accepted(view: JobView): void;
  cancelAnswered(view: JobView, at: number): void;
  /**
   * saw notes the status of a job.
   *
   * @param askedAt when the caller sent the request, in Unix milliseconds; default now. An answer that was
   * asked for before another caller saw the end may be older than that end, and is left out.
   */
  saw(view: JobView, askedAt?: number): void;
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
      endSeenAt: undefined,
    };
    known.id = view.id;
    jobs.set(name, known);
    return known;
  };
  const saw = (view: JobView, askedAt = Date.now()): void => {
    const job = jobOf(view);
    const last = job.ends.at(-1);
    if (job.endSeenAt !== undefined && askedAt < job.endSeenAt) return;
    if (isFinished(view.status)) job.endSeenAt ??= Date.now();
    if (view.status !== last && (last !== undefined || isFinished(view.status))) job.ends.push(view.status);
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
