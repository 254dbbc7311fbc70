import { sleep } from '../async/sleep.ts';
import { isJsonObject } from '../job/exact-json.ts';
import { isFinishedJob } from '../job/job.ts';
import type { JobView, ResultOutcome } from '../job/view.ts';
import { jobPath } from './address.ts';
import { checkedBody, isJobResult, JOB } from './answer.ts';
import type { Transport } from './transport.ts';

/**
 * The longest single poll, in milliseconds: shorter than the 60 s after which many proxies cut a silent
 * connection.
 */
const LONGEST_POLL_MS = 50_000;
/** The shortest time between two polls, in milliseconds: an instance that is shutting down answers at once. */
const SHORTEST_POLL_MS = 1000;
/** A wait up to this long, in milliseconds, is retried only for as long as a read is. */
const SHORT_WAIT_MS = 5000;
/** How long a wait or a stream of events retries while the instance restarts, in milliseconds. */
export const WAIT_PATIENCE_MS = 60_000;

/** JobReader reads a job and its result over HTTP: at once, or when the job has ended. */
export class JobReader {
  readonly #transport: Transport;
  readonly #url: string;
  readonly #patienceMs: number;

  /** @param patienceMs how long a read is repeated while the instance does not answer. */
  constructor(transport: Transport, url: string, patienceMs: number) {
    this.#transport = transport;
    this.#url = url;
    this.#patienceMs = patienceMs;
  }

  async read(id: string, signal?: AbortSignal, patienceMs = this.#patienceMs): Promise<JobView> {
    return checkedBody(this.#url, await this.#transport.read(jobPath(id), { signal, patienceMs }), JOB);
  }

  /** Reads the result, and waits up to `timeoutMs` for the end of the job. */
  async result(id: string, timeoutMs: number, signal?: AbortSignal): Promise<ResultOutcome> {
    const { endAt, patienceMs } = await this.#beginWait(id, timeoutMs, signal);
    return this.#resultUntil(endAt, id, patienceMs, signal);
  }

  /** Reads the job, and waits up to `timeoutMs` for its end. */
  async wait(id: string, timeoutMs: number, signal?: AbortSignal): Promise<JobView> {
    const { endAt, patienceMs, known } = await this.#beginWait(id, timeoutMs, signal);
    let job = known;
    // The job may be retried between two answers, so one that has ended is read until its view says so.
    while (job === undefined || !(isFinishedJob(job) || performance.now() >= endAt)) {
      const outcome = await this.#resultUntil(endAt, id, patienceMs, signal);
      job = outcome.status === 'completed' ? await this.read(id, signal, WAIT_PATIENCE_MS) : outcome.job;
    }
    return job;
  }

  /**
   * Reads the job before a long wait: a wait of minutes survives a restart of the instance, but a wrong URL or
   * id is reported at once.
   *
   * @returns the end of the wait, a time of `performance.now()`, and the job; undefined before a short wait.
   */
  async #beginWait(
    id: string,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<{ endAt: number; patienceMs: number; known: JobView | undefined }> {
    // Not `Math.max`: NaN must not wait for ever.
    const waitMs = timeoutMs > 0 ? timeoutMs : 0;
    const endAt = performance.now() + waitMs;
    if (waitMs <= SHORT_WAIT_MS) return { endAt, patienceMs: this.#patienceMs, known: undefined };
    return { endAt, patienceMs: WAIT_PATIENCE_MS, known: await this.read(id, signal) };
  }

  /** Asks for the result until the job has ended, or until `endAt`. */
  async #resultUntil(
    endAt: number,
    id: string,
    patienceMs: number,
    signal: AbortSignal | undefined,
  ): Promise<ResultOutcome> {
    for (;;) {
      const startedAt = performance.now();
      const holdMs = Math.max(0, Math.min(LONGEST_POLL_MS, Math.ceil(endAt - startedAt)));
      const outcome = await this.#resultNow(id, holdMs, patienceMs, signal);
      if (outcome.status === 'completed' || isFinishedJob(outcome.job)) return outcome;
      const now = performance.now();
      if (now >= endAt) return outcome;
      await sleep(Math.max(0, Math.min(startedAt + SHORTEST_POLL_MS, endAt) - now), signal);
    }
  }

  async #resultNow(
    id: string,
    holdMs: number,
    patienceMs: number,
    signal: AbortSignal | undefined,
  ): Promise<ResultOutcome> {
    const path = `${jobPath(id)}/result${holdMs === 0 ? '' : `?wait=${holdMs / 1000}`}`;
    for (;;) {
      const answer = await this.#transport.read(path, { signal, patienceMs, holdMs, alsoAnswers: [409] });
      const { status, body } = answer;
      if (status === 200) {
        return { status: 'completed', result: checkedBody(this.#url, answer, [isJobResult, 'a result']) };
      }
      const problem = status === 409 && isJsonObject(body) ? body['job'] : body;
      const job = checkedBody(this.#url, { body: problem, status }, JOB);
      if (job.status !== 'completed') return { status: job.status, job };
      // The job completed after the instance had looked for the result and before it read the view. So the
      // result exists now.
      await sleep(100, signal);
    }
  }
}
