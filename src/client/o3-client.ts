import { sleep } from '../async/sleep.ts';
import type { AuditPage, AuditQuery } from '../audit/audit.ts';
import type { EventsToken, JobEvent } from '../job/event.ts';
import { isJsonObject } from '../job/exact-json.ts';
import {
  BULK_RULES,
  bulkFlaw,
  CALL_RULES,
  checkedOptions,
  ENQUEUE_RULES,
  EVENT_RULES,
  WAIT_RULES,
} from '../job/fields/option-rules.ts';
import { traceContextIn } from '../job/fields/trace-context.ts';
import { isFinishedJob } from '../job/job.ts';
import {
  type BulkOptions,
  type BulkOutcome,
  type CallOptions,
  type EnqueueOptions,
  type EventOptions,
  type JobActions,
  type JobQuery,
  type JobQueue,
  jobsOfAllPages,
  type WaitOptions,
} from '../job/job-queue.ts';
import type { BulkRequest, JobRequest } from '../job/request.ts';
import type { JobPage, JobView, ResultOutcome } from '../job/view.ts';
import type { ModelView, ResumedModel } from '../models/view.ts';
import type { Quote } from '../usage/quote.ts';
import type { UsageQuery, UsageReport } from '../usage/report.ts';
import { ActionsClient } from './actions-client.ts';
import {
  checkedClientOptions,
  checkedKey,
  checkedUrl,
  jobPath,
  modelPath,
  type O3ClientOptions,
  pathWith,
} from './address.ts';
import {
  type Expected,
  isAuditPage,
  isBulkAnswer,
  isEventsToken,
  isJobPage,
  isJobResult,
  isJobView,
  isModelViews,
  isQuote,
  isResumedModel,
  isUsageReport,
} from './answer.ts';
import { argumentRefused, errorFromProblem, type O3ClientError, unexpectedResponse } from './client-error.ts';
import { streamEvents } from './event-stream.ts';
import { createTransport, type Transport } from './transport.ts';

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
const WAIT_PATIENCE_MS = 60_000;

const JOB: Expected<JobView> = [isJobView, 'a job'];

/**
 * O3Client is a JobQueue that calls one instance of o3-queue over HTTP. Reads, and enqueues with an
 * idempotency key, are repeated while the instance restarts. Every other call is sent once, because a job
 * that is enqueued twice is bought twice.
 *
 * @throws {O3ClientError} from every method, or the reason of the call's signal.
 */
export class O3Client implements JobQueue {
  readonly url: string;
  readonly #transport: Transport;
  readonly #patienceMs: number;
  readonly actions: JobActions;

  constructor(options: O3ClientOptions) {
    const { url, apiKey, readPatienceMs = 2000 } = checkedClientOptions(options);
    this.url = checkedUrl(url);
    this.#transport = createTransport({ url: this.url, apiKey: checkedKey(apiKey) });
    this.#patienceMs = readPatienceMs;
    this.actions = new ActionsClient(this.#transport, this.url, readPatienceMs);
  }

  /**
   * Enqueues a request. Without an idempotency key the call is sent once: after `answer_lost`, check with
   * `list` before you enqueue it again.
   */
  async enqueue(request: JobRequest, options: EnqueueOptions = {}): Promise<JobView> {
    const { idempotencyKey, trace, signal } = checkedOptions(options, ENQUEUE_RULES, argumentRefused);
    const isKeyed = idempotencyKey !== undefined;
    const { body, status } = await this.#transport.write({
      method: 'POST',
      ...{ path: '/jobs', body: request, signal },
      headers: { ...traceContextIn(trace), ...(isKeyed && { 'idempotency-key': idempotencyKey }) },
      ...(isKeyed && { patienceMs: this.#patienceMs }),
    });
    return this.#checked(body, status, JOB);
  }

  /**
   * Enqueues up to 1,000 requests, 50 MB in all (`http.maxBodyMb` of the instance). The call is repeated
   * like a read if every request has an `idempotency_key`; otherwise it is sent once.
   */
  async enqueueBulk(
    requests: readonly BulkRequest[],
    options: BulkOptions = {},
  ): Promise<BulkOutcome<O3ClientError>[]> {
    const { trace, signal } = checkedOptions(options, BULK_RULES, argumentRefused);
    const flaw = bulkFlaw(requests);
    if (flaw !== undefined) throw argumentRefused('requests', flaw);
    const keyed = requests.every((request) => request?.idempotency_key !== undefined);
    const { body, status } = await this.#transport.write({
      method: 'POST',
      ...{ path: '/jobs/bulk', body: { jobs: requests }, headers: { ...traceContextIn(trace) }, signal },
      ...(keyed && { patienceMs: this.#patienceMs }),
    });
    const isExpected = (answer: unknown) => isBulkAnswer(answer, requests.length);
    return this.#checked(body, status, [isExpected, 'the outcomes of a bulk']).outcomes.map((outcome) => {
      if ('job' in outcome) return { ok: true, job: outcome.job, isNew: outcome.status === 202 };
      const error = errorFromProblem(outcome.problem, { status: outcome.status });
      return { ok: false, error: error ?? unexpectedResponse(this.url, status, 'an outcome without a code') };
    });
  }

  async get(id: string, options: CallOptions = {}): Promise<JobView> {
    const { signal } = checkedOptions(options, CALL_RULES, argumentRefused);
    return this.#read(id, signal, this.#patienceMs);
  }

  async result(id: string, options: WaitOptions = {}): Promise<ResultOutcome> {
    const { timeoutMs = 0, signal } = checkedOptions(options, WAIT_RULES, argumentRefused);
    // Not `Math.max`: NaN must not wait for ever.
    const waitMs = timeoutMs > 0 ? timeoutMs : 0;
    const endAt = performance.now() + waitMs;
    const known = await this.#readBeforeWait(id, waitMs, signal);
    return this.#resultUntil(endAt, id, known === undefined ? this.#patienceMs : WAIT_PATIENCE_MS, signal);
  }

  async wait(id: string, options: WaitOptions = {}): Promise<JobView> {
    const { timeoutMs = Number.POSITIVE_INFINITY, signal } = checkedOptions(
      options,
      WAIT_RULES,
      argumentRefused,
    );
    const waitMs = timeoutMs > 0 ? timeoutMs : 0;
    const endAt = performance.now() + waitMs;
    let job = await this.#readBeforeWait(id, waitMs, signal);
    const patienceMs = job === undefined ? this.#patienceMs : WAIT_PATIENCE_MS;
    // The job may be retried between two answers, so one that has ended is read until its view says so.
    while (job === undefined || !(isFinishedJob(job) || performance.now() >= endAt)) {
      const outcome = await this.#resultUntil(endAt, id, patienceMs, signal);
      job = outcome.status === 'completed' ? await this.#read(id, signal, WAIT_PATIENCE_MS) : outcome.job;
    }
    return job;
  }

  /** Reads a job's events up to its end, each once. It reconnects as often as necessary. */
  async *events(id: string, options: EventOptions = {}): AsyncGenerator<JobEvent, void, undefined> {
    const { after = 0, signal } = checkedOptions(options, EVENT_RULES, argumentRefused);
    const path = `${jobPath(id)}/events`;
    yield* streamEvents(this.#transport, path, { after, patienceMs: WAIT_PATIENCE_MS, signal });
  }

  /** Makes an address of a job's events that a browser can open for ten minutes without a key. */
  async eventsToken(id: string, options: CallOptions = {}): Promise<EventsToken> {
    return this.#post(`${jobPath(id)}/events/token`, [isEventsToken, 'a token of events'], options);
  }

  async cancel(id: string, options: CallOptions = {}): Promise<JobView> {
    return this.#post(`${jobPath(id)}/cancel`, JOB, options);
  }

  async retry(id: string, options: CallOptions = {}): Promise<JobView> {
    return this.#post(`${jobPath(id)}/retry`, JOB, options);
  }

  async delete(id: string, options: CallOptions = {}): Promise<void> {
    const { signal } = checkedOptions(options, CALL_RULES, argumentRefused);
    await this.#transport.write({ method: 'DELETE', path: jobPath(id), signal });
  }

  async list(query: JobQuery = {}, options: CallOptions = {}): Promise<JobPage> {
    return this.#readBody(pathWith('/jobs', query), [isJobPage, 'a page of jobs'], options);
  }

  jobs(query: JobQuery = {}, options: CallOptions = {}): AsyncGenerator<JobView, void, undefined> {
    return jobsOfAllPages((page) => this.list(page, options), query);
  }

  /** Estimates what a request would cost in each completion window, and when it would be answered. */
  async quote(request: JobRequest, options: CallOptions = {}): Promise<Quote> {
    return this.#post('/jobs?quote=1', [isQuote, 'a quote'], options, request);
  }

  /**
   * Reports what jobs have used and cost: the caller's own jobs, or all jobs if the caller is an admin.
   * Default: the last 30 days, with a row for each day, model and tenant.
   */
  async usage(query: UsageQuery = {}, options: CallOptions = {}): Promise<UsageReport> {
    return this.#readBody(pathWith('/usage', query), [isUsageReport, 'a report of usage'], options);
  }

  /** Reads a page of the audit log, newest first: an admin all acts, a tenant its own and those on its jobs. */
  async audit(query: AuditQuery = {}, options: CallOptions = {}): Promise<AuditPage> {
    return this.#readBody(pathWith('/audit', query), [isAuditPage, 'a page of the audit log'], options);
  }

  /** Lists each configured model with its limits and its state. Only for an admin. */
  async models(options: CallOptions = {}): Promise<ModelView[]> {
    return (await this.#readBody('/models', [isModelViews, 'a list of models'], options)).models;
  }

  /**
   * Ends any pause of a model, so that its jobs need not wait for a probe. It also removes the settings that
   * were made for its queue on Bull Board. Only for an admin. The call may be repeated.
   */
  async resume(model: string, options: CallOptions = {}): Promise<ResumedModel> {
    return this.#post(`${modelPath(model)}/resume`, [isResumedModel, 'a model'], options);
  }

  async #readBody<Body>(path: string, expected: Expected<Body>, options: CallOptions): Promise<Body> {
    const { signal } = checkedOptions(options, CALL_RULES, argumentRefused);
    const { body, status } = await this.#transport.read(path, { signal, patienceMs: this.#patienceMs });
    return this.#checked(body, status, expected);
  }

  async #read(id: string, signal: AbortSignal | undefined, patienceMs: number): Promise<JobView> {
    const { body, status } = await this.#transport.read(jobPath(id), { signal, patienceMs });
    return this.#checked(body, status, JOB);
  }

  /**
   * Reads a job before a long wait: a wait of minutes survives a restart of the instance, but a wrong URL or
   * id is reported at once. Returns undefined for a short wait.
   */
  async #readBeforeWait(id: string, waitMs: number, signal?: AbortSignal): Promise<JobView | undefined> {
    return waitMs > SHORT_WAIT_MS ? this.#read(id, signal, this.#patienceMs) : undefined;
  }

  /** Asks for the result until the job has ended, or until `endAt`, a time of `performance.now()`. */
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

  async #post<Body>(path: string, is: Expected<Body>, options: CallOptions, sent?: unknown): Promise<Body> {
    const { signal } = checkedOptions(options, CALL_RULES, argumentRefused);
    const { body, status } = await this.#transport.write({ method: 'POST', path, body: sent, signal });
    return this.#checked(body, status, is);
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
        return { status: 'completed', result: this.#checked(answer.body, 200, [isJobResult, 'a result']) };
      }
      const problem = answer.status === 409 && isJsonObject(answer.body) ? answer.body['job'] : answer.body;
      const job = this.#checked(problem, answer.status, JOB);
      if (job.status !== 'completed') return { status: job.status, job };
      // The job completed after the instance had looked for the result and before it read the view. So the
      // result exists now.
      await sleep(100, signal);
    }
  }

  #checked<Body>(body: unknown, status: number, [isExpected, name]: Expected<Body>): Body {
    if (isExpected(body)) return body;
    throw unexpectedResponse(this.url, status, `something that is not ${name}`);
  }
}
