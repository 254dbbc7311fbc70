import type { JobEvent } from '../job/event.ts';
import { isFinishedJob, type JobPage, type JobQuery, type JobView, type ResultOutcome } from '../job/job.ts';
import type { BulkRequest, JobRequest } from '../job/request.ts';
import type { ModelView, ResumedModel } from '../models/view.ts';
import type { UsageQuery, UsageReport } from '../usage/report.ts';
import { checkedIdempotencyKey, checkedKey, checkedUrl, jobPath, modelPath, pathWith } from './address.ts';
import {
  isBulkAnswer,
  isJobPage,
  isJobResult,
  isJobView,
  isModelViews,
  isResumedModel,
  isUsageReport,
} from './answer.ts';
import { errorFromProblem, isRecord, type O3ClientError, unexpectedResponse } from './client-error.ts';
import { streamEvents } from './event-stream.ts';
import { createTransport, pause, type Transport } from './transport.ts';

/** One long poll: short of the 60 s after which many proxies cut a silent connection. */
const LONGEST_POLL_MS = 50_000;
/** An instance that is shutting down answers polls at once; asking it again at once would be a busy loop. */
const SHORTEST_POLL_MS = 1000;
/** Up to here a wait is a look, that takes a little longer. */
const SHORT_WAIT_MS = 5000;
/** A restart of the instance in the middle of a wait goes unnoticed if it is not longer than this. */
const WAIT_PATIENCE_MS = 60_000;

export interface O3ClientOptions {
  /** Where the instance listens: `http://127.0.0.1:3000`. A path is kept, for one behind a proxy. */
  url: string;
  /** Sent as `Authorization: Bearer`. Default: none. */
  apiKey?: string | undefined;
  /** How long a read is repeated while nothing answers, or Redis is away, in milliseconds. Default 2,000. */
  readPatienceMs?: number;
}

export interface CallOptions {
  /** Ends the call, not the job: the promise rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

export interface EnqueueOptions extends CallOptions {
  /**
   * 1 to 255 printable ASCII characters: the same request under the same key is the same job, as long as there is the job. So
   * the call repeats itself as a read does, and can be repeated by you. Default: none; it is sent once.
   */
  idempotencyKey?: string | undefined;
}

/** What became of a request of a bulk. `isNew`: false where its key had this job already. */
export type BulkOutcome = { ok: true; job: JobView; isNew: boolean } | { ok: false; error: O3ClientError };

export interface WaitOptions extends CallOptions {
  /** How long to wait for the end, in milliseconds. */
  timeoutMs?: number;
}

/**
 * An instance of o3-queue over HTTP. Reads repeat themselves while the instance restarts, and what is enqueued with an idempotency
 * key; nothing else does, because a job that is enqueued twice is bought twice. What goes wrong with a call throws an O3ClientError; what goes wrong with
 * a job is data.
 */
export class O3Client {
  readonly url: string;
  readonly #transport: Transport;
  readonly #patienceMs: number;

  constructor({ url, apiKey, readPatienceMs = 2000 }: O3ClientOptions) {
    this.url = checkedUrl(url);
    this.#transport = createTransport({ url: this.url, apiKey: checkedKey(apiKey) });
    this.#patienceMs = readPatienceMs;
  }

  /** Sent once, unless it has an idempotency key: without one look with `list`, on `answer_lost`, before you enqueue it again. */
  async enqueue(request: JobRequest, { idempotencyKey, signal }: EnqueueOptions = {}): Promise<JobView> {
    const { body, status } = await this.#transport.write({
      method: 'POST',
      path: '/jobs',
      body: request,
      signal,
      ...(idempotencyKey !== undefined && {
        headers: { 'idempotency-key': checkedIdempotencyKey(idempotencyKey) },
        patienceMs: this.#patienceMs,
      }),
    });
    return this.#viewFrom(body, status);
  }

  /**
   * Up to 1,000 at once, about 10 MB in all; a bad one refuses only itself. Repeats itself where every request has an
   * `idempotency_key`, and is sent once otherwise.
   */
  async enqueueBulk(requests: readonly BulkRequest[], { signal }: CallOptions = {}): Promise<BulkOutcome[]> {
    const keyed = requests.every(({ idempotency_key: key }) => key !== undefined);
    const { body, status } = await this.#transport.write({
      method: 'POST',
      path: '/jobs/bulk',
      body: { jobs: requests },
      signal,
      ...(keyed && { patienceMs: this.#patienceMs }),
    });
    if (!isBulkAnswer(body, requests.length)) {
      throw unexpectedResponse(this.url, status, 'something that is not the outcomes of a bulk');
    }
    return body.outcomes.map((outcome) => {
      if ('job' in outcome) return { ok: true, job: outcome.job, isNew: outcome.status === 202 };
      const error = errorFromProblem(outcome.problem, { status: outcome.status });
      return { ok: false, error: error ?? unexpectedResponse(this.url, status, 'an outcome without a code') };
    });
  }

  async get(id: string, { signal }: CallOptions = {}): Promise<JobView> {
    return this.#read(id, signal, this.#patienceMs);
  }

  /** @param options.timeoutMs how long to wait for the job's end; default 0: as it is now. `Infinity` is allowed. */
  async result(id: string, { timeoutMs = 0, signal }: WaitOptions = {}): Promise<ResultOutcome> {
    const endAt = performance.now() + timeoutMs;
    // Whoever waits for minutes waits through a restart, too; but a wrong URL or id should be said at once.
    const isLong = timeoutMs > SHORT_WAIT_MS;
    if (isLong) await this.#read(id, signal, this.#patienceMs);
    const patienceMs = isLong ? WAIT_PATIENCE_MS : this.#patienceMs;
    for (;;) {
      const startedAt = performance.now();
      const holdMs = Math.max(0, Math.min(LONGEST_POLL_MS, Math.ceil(endAt - startedAt)));
      const outcome = await this.#resultNow(id, holdMs, patienceMs, signal);
      if (outcome.status === 'completed' || isFinishedJob(outcome.job)) return outcome;
      const now = performance.now();
      if (now >= endAt) return outcome;
      await pause(Math.max(0, Math.min(startedAt + SHORTEST_POLL_MS, endAt) - now), signal);
    }
  }

  /** @param options.timeoutMs default: without end. When it is over, the job is answered as it is, and goes on. */
  async wait(
    id: string,
    { timeoutMs = Number.POSITIVE_INFINITY, signal }: WaitOptions = {},
  ): Promise<JobView> {
    const endAt = performance.now() + timeoutMs;
    for (;;) {
      const remainingMs = Math.max(0, endAt - performance.now());
      const outcome = await this.result(id, { timeoutMs: remainingMs, signal });
      const job =
        outcome.status === 'completed' ? await this.#read(id, signal, WAIT_PATIENCE_MS) : outcome.job;
      // Somebody may have retried it between the two answers.
      if (isFinishedJob(job) || performance.now() >= endAt) return job;
    }
  }

  /**
   * What happens to a job, from the beginning or after an event that was seen before, up to `done`. A connection that breaks is opened again, and each event comes once.
   *
   * @param options.after the `number` of the last event that was seen. Default: none.
   */
  events(
    id: string,
    { after = 0, signal }: CallOptions & { after?: number } = {},
  ): AsyncGenerator<JobEvent, void, undefined> {
    return streamEvents(this.#transport, `${jobPath(id)}/events`, {
      after,
      patienceMs: WAIT_PATIENCE_MS,
      signal,
    });
  }

  /** The answer is `cancelled`; or `active` with `cancelling: true`, and `cancelled` within a second. */
  async cancel(id: string, options: CallOptions = {}): Promise<JobView> {
    return this.#act(id, 'cancel', options);
  }

  /** Runs a failed or cancelled job again, from its first attempt: a fresh purchase. */
  async retry(id: string, options: CallOptions = {}): Promise<JobView> {
    return this.#act(id, 'retry', options);
  }

  /** Forgets a finished job. */
  async remove(id: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#transport.write({ method: 'DELETE', path: jobPath(id), signal });
  }

  /** One page, newest first. It may hold fewer jobs than asked for while there are more: read on by `next_cursor`. */
  async list(query: JobQuery = {}, { signal }: CallOptions = {}): Promise<JobPage> {
    const path = pathWith('/jobs', query);
    const { body, status } = await this.#transport.read(path, { signal, patienceMs: this.#patienceMs });
    if (isJobPage(body)) return body;
    throw unexpectedResponse(this.url, status, 'something that is not a page of jobs');
  }

  /** Every job of all pages, newest first. */
  async *jobs(query: JobQuery = {}, options: CallOptions = {}): AsyncGenerator<JobView, void, undefined> {
    let page = await this.list({ limit: 100, ...query }, options);
    yield* page.jobs;
    while (page.next_cursor !== null) {
      page = await this.list({ limit: 100, ...query, cursor: page.next_cursor }, options);
      yield* page.jobs;
    }
  }

  /** What was used and what it cost: your own, or everybody's for an admin. Default: of the last 30 days, a row for each day, model and tenant. */
  async usage(query: UsageQuery = {}, { signal }: CallOptions = {}): Promise<UsageReport> {
    const path = pathWith('/usage', query);
    const { body, status } = await this.#transport.read(path, { signal, patienceMs: this.#patienceMs });
    if (isUsageReport(body)) return body;
    throw unexpectedResponse(this.url, status, 'something that is not a report of usage');
  }

  /** For an admin: each configured model, its limits and how it stands. */
  async models({ signal }: CallOptions = {}): Promise<ModelView[]> {
    const { body, status } = await this.#transport.read('/models', { signal, patienceMs: this.#patienceMs });
    if (isModelViews(body)) return body.models;
    throw unexpectedResponse(this.url, status, 'something that is not a list of models');
  }

  /** For an admin: there is money again, so that the model's jobs need not wait for a probe. May be called again and again. */
  async resume(model: string, { signal }: CallOptions = {}): Promise<ResumedModel> {
    const path = `${modelPath(model)}/resume`;
    const { body, status } = await this.#transport.write({ method: 'POST', path, signal });
    if (isResumedModel(body)) return body;
    throw unexpectedResponse(this.url, status, 'something that is not a model');
  }

  async #read(id: string, signal: AbortSignal | undefined, patienceMs: number): Promise<JobView> {
    const { body, status } = await this.#transport.read(jobPath(id), { signal, patienceMs });
    return this.#viewFrom(body, status);
  }

  async #act(id: string, action: 'cancel' | 'retry', { signal }: CallOptions): Promise<JobView> {
    const path = `${jobPath(id)}/${action}`;
    const { body, status } = await this.#transport.write({ method: 'POST', path, signal });
    return this.#viewFrom(body, status);
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
      if (answer.status === 200) {
        if (isJobResult(answer.body)) return { status: 'completed', result: answer.body };
        throw unexpectedResponse(this.url, 200, 'something that is not a result');
      }
      const problem = answer.status === 409 && isRecord(answer.body) ? answer.body['job'] : answer.body;
      const job = this.#viewFrom(problem, answer.status);
      if (job.status !== 'completed') return { status: job.status, job };
      // It completed between the look for its result and the view: now the result is there.
      await pause(100, signal);
    }
  }

  #viewFrom(body: unknown, status: number): JobView {
    if (isJobView(body)) return body;
    throw unexpectedResponse(this.url, status, 'something that is not a job');
  }
}
