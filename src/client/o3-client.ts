import type { AuditPage, AuditQuery } from '../audit/audit.ts';
import type { EventsToken, JobEvent } from '../job/event.ts';
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
  checkedBody,
  type Expected,
  isAuditPage,
  isBulkAnswer,
  isEventsToken,
  isJobPage,
  isModelViews,
  isQuote,
  isResumedModel,
  isUsageReport,
  JOB,
} from './answer.ts';
import { argumentRefused, errorFromProblem, type O3ClientError, unexpectedResponse } from './client-error.ts';
import { streamEvents } from './event-stream.ts';
import { JobReader, WAIT_PATIENCE_MS } from './job-reader.ts';
import { createTransport, type Transport } from './transport.ts';

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
  readonly #jobs: JobReader;
  readonly actions: JobActions;

  constructor(options: O3ClientOptions) {
    const { url, apiKey, readPatienceMs = 2000 } = checkedClientOptions(options);
    this.url = checkedUrl(url);
    this.#transport = createTransport({ url: this.url, apiKey: checkedKey(apiKey) });
    this.#patienceMs = readPatienceMs;
    this.#jobs = new JobReader(this.#transport, this.url, readPatienceMs);
    this.actions = new ActionsClient(this.#transport, this.url, readPatienceMs);
  }

  /**
   * Enqueues a request. Without an idempotency key the call is sent once: after `answer_lost`, check with
   * `list` before you enqueue it again.
   */
  async enqueue(request: JobRequest, options: EnqueueOptions = {}): Promise<JobView> {
    const { idempotencyKey, trace, signal } = checkedOptions(options, ENQUEUE_RULES, argumentRefused);
    const isKeyed = idempotencyKey !== undefined;
    const answer = await this.#transport.write({
      method: 'POST',
      ...{ path: '/jobs', body: request, signal },
      headers: { ...traceContextIn(trace), ...(isKeyed && { 'idempotency-key': idempotencyKey }) },
      ...(isKeyed && { patienceMs: this.#patienceMs }),
    });
    return checkedBody(this.url, answer, JOB);
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
    const answer = await this.#transport.write({
      method: 'POST',
      ...{ path: '/jobs/bulk', body: { jobs: requests }, headers: { ...traceContextIn(trace) }, signal },
      ...(keyed && { patienceMs: this.#patienceMs }),
    });
    const isExpected = (body: unknown) => isBulkAnswer(body, requests.length);
    const { outcomes } = checkedBody(this.url, answer, [isExpected, 'the outcomes of a bulk']);
    return outcomes.map((outcome) => {
      if ('job' in outcome) return { ok: true, job: outcome.job, isNew: outcome.status === 202 };
      const error = errorFromProblem(outcome.problem, { status: outcome.status });
      return {
        ok: false,
        error: error ?? unexpectedResponse(this.url, answer.status, 'an outcome without a code'),
      };
    });
  }

  async get(id: string, options: CallOptions = {}): Promise<JobView> {
    const { signal } = checkedOptions(options, CALL_RULES, argumentRefused);
    return this.#jobs.read(id, signal);
  }

  async result(id: string, options: WaitOptions = {}): Promise<ResultOutcome> {
    const { timeoutMs = 0, signal } = checkedOptions(options, WAIT_RULES, argumentRefused);
    return this.#jobs.result(id, timeoutMs, signal);
  }

  async wait(id: string, options: WaitOptions = {}): Promise<JobView> {
    const { timeoutMs = Number.POSITIVE_INFINITY, signal } = checkedOptions(
      options,
      WAIT_RULES,
      argumentRefused,
    );
    return this.#jobs.wait(id, timeoutMs, signal);
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
    const answer = await this.#transport.read(path, { signal, patienceMs: this.#patienceMs });
    return checkedBody(this.url, answer, expected);
  }

  async #post<Body>(path: string, is: Expected<Body>, options: CallOptions, sent?: unknown): Promise<Body> {
    const { signal } = checkedOptions(options, CALL_RULES, argumentRefused);
    const answer = await this.#transport.write({ method: 'POST', path, body: sent, signal });
    return checkedBody(this.url, answer, is);
  }
}
