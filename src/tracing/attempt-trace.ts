import { type Attributes, context, ROOT_CONTEXT, type Span, SpanKind, trace } from '@opentelemetry/api';
import { isFailure } from '../errors/failure.ts';
import type { TraceContext } from '../job/fields/trace-context.ts';
import type { UpstreamResponse } from '../responses/response.ts';
import { type ChatEnd, type ChatRequest, requestAttributes, responseAttributes } from './chat-attributes.ts';
import { COMMON, GEN_AI, MESSAGING, O3Q, SYSTEM } from './names.ts';
import { linksTo, markFailed, storedContextOf, tracerNow } from './span-context.ts';

/** TracedJob is what the span of an attempt says of its job. */
export interface TracedJob {
  id: string;
  /** The name by which callers ask for the model. */
  model: string;
  /** The tenant, if the configuration names it; undefined: it does not, or there is none. */
  tenant: string | undefined;
  /** How long ago the job was enqueued, in milliseconds. */
  waitMs: number;
  /** The span that enqueued the job, as the job keeps it. */
  sent: TraceContext | undefined;
}

/** TracedOutcome is an Outcome, as far as a span tells it. */
export interface TracedOutcome {
  kind: string;
  /** Of a job that has failed. */
  code?: string;
  /** Why another attempt will follow. */
  failure?: { code: string };
}

/**
 * AttemptTrace has the spans of one attempt: `process {model}`, and below it `chat {upstream model}` for the
 * response that the attempt buys or adopts.
 *
 * `process` is a root and links to the span that enqueued the job, because an attempt may come hours later, and
 * again. A worker that is killed exports none of its spans. What the next worker needs of them is in the record
 * of the run: `chat` of an adopted response links to the span that bought it.
 */
export class AttemptTrace {
  readonly #job: TracedJob;
  readonly #process: Span;
  #chat: Span | undefined;
  /** When the create was sent, on the monotonic clock; undefined: nothing is to be timed. */
  #sentAt: number | undefined;
  #isAdopting = false;
  #end: (ChatEnd & { at: number }) | undefined;

  constructor(job: TracedJob) {
    this.#job = job;
    const { id, model, sent } = job;
    this.#process = tracerNow().startSpan(`process ${model}`, {
      kind: SpanKind.CONSUMER,
      root: true,
      links: linksTo(sent),
      attributes: {
        [MESSAGING.system]: SYSTEM,
        [MESSAGING.operation]: 'process',
        [MESSAGING.operationType]: 'process',
        [MESSAGING.destination]: model,
        [MESSAGING.messageId]: id,
        [O3Q.job]: id,
        [O3Q.wait]: job.waitMs,
        ...(job.tenant !== undefined && { [O3Q.tenant]: job.tenant }),
      },
    });
  }

  /** The span of the attempt, for the record; undefined: there is no SDK. */
  get attempt(): TraceContext | undefined {
    return storedContextOf(this.#process);
  }

  /** The span of the response, for the record; undefined: there is no SDK, or no response. */
  get purchase(): TraceContext | undefined {
    return this.#chat && storedContextOf(this.#chat);
  }

  /**
   * The record of the run is read, which says the number of the attempt.
   * @param failed the attempt before this one, if it failed.
   */
  begun(number: number, failed: TraceContext | undefined): void {
    this.#process.setAttribute(O3Q.attempt, number);
    this.#process.addLinks(linksTo(failed));
  }

  /** A create is about to be sent. */
  buying(request: ChatRequest): void {
    this.#process.setAttribute(O3Q.adopted, false);
    this.#startChat(request, undefined);
    if (this.#chat?.isRecording()) this.#sentAt = performance.now();
  }

  /** @param purchase the span that bought the response. */
  adopting(request: ChatRequest, purchase: TraceContext | undefined): void {
    this.#process.setAttribute(O3Q.adopted, true);
    // A create whose answer was lost has its span already, and the response that it bought was found.
    if (this.#chat === undefined) this.#startChat(request, purchase);
    this.#isAdopting = this.#chat?.isRecording() ?? false;
  }

  /** Whether the next lookup is the first of an adopted response, and gets a span. */
  get isAdopting(): boolean {
    return this.#isAdopting;
  }

  /** Runs a call to the upstream, so that an instrumentation of HTTP puts its span below `chat`. */
  inChat<Result>(work: () => Result): Result {
    return this.#chat === undefined ? work() : context.with(trace.setSpan(ROOT_CONTEXT, this.#chat), work);
  }

  /**
   * Runs a lookup of an adopted response. Only the first one gets a span: a response may be looked up five
   * hundred times a day.
   */
  async lookup<Result>(work: () => Promise<Result>): Promise<Result> {
    if (!this.#isAdopting || this.#chat === undefined) return work();
    this.#isAdopting = false;
    const { id, model } = this.#job;
    const parent = trace.setSpan(ROOT_CONTEXT, this.#chat);
    const attributes = { [O3Q.job]: id };
    const span = tracerNow().startSpan(
      `fetch_response ${model}`,
      { kind: SpanKind.CLIENT, attributes },
      parent,
    );
    try {
      return await context.with(trace.setSpan(parent, span), work);
    } catch (error: unknown) {
      // The attempt goes on and looks again, so the status stays as it is.
      span.setAttribute(COMMON.error, isFailure(error) ? error.code : 'interrupted');
      throw error;
    } finally {
      span.end();
    }
  }

  /** Text of the answer has come. */
  heard(): void {
    if (this.#sentAt === undefined) return;
    this.#chat?.setAttribute(GEN_AI.timeToFirstChunk, (performance.now() - this.#sentAt) / 1000);
    this.#sentAt = undefined;
  }

  /**
   * The response has ended. What it used stands on the span only if the attempt then stores the end: when it has
   * lost the job instead, the worker that has it sees the same end.
   * @param costUsd what the response has cost, in US dollars; null: unknown.
   */
  sawEnd(response: UpstreamResponse, costUsd: number | null): void {
    if (this.#chat?.isRecording()) this.#end = { response, costUsd, at: performance.now() };
  }

  /** Runs the attempt, and ends the spans with its outcome, or when it throws. */
  async until<Outcome extends TracedOutcome>(attempt: () => Promise<Outcome>): Promise<Outcome> {
    let outcome: Outcome | undefined;
    try {
      outcome = await attempt();
      return outcome;
    } finally {
      this.#endAll(outcome);
    }
  }

  /** @param outcome undefined: an unexpected error has ended the attempt. */
  #endAll(outcome: TracedOutcome | undefined): void {
    const code = outcome === undefined ? 'internal_error' : codeOf(outcome);
    const kind = outcome?.kind ?? 'broken';
    if (this.#chat !== undefined) {
      const isStored = outcome !== undefined && kind !== 'lost';
      if (this.#end !== undefined && isStored) this.#chat.setAttributes(responseAttributes(this.#end));
      end(this.#chat, kind, code, this.#end?.at);
    }
    end(this.#process, kind, code);
  }

  #startChat(request: ChatRequest, purchase: TraceContext | undefined): void {
    const attributes: Attributes = { [O3Q.job]: this.#job.id };
    this.#chat = tracerNow().startSpan(
      `chat ${request.upstreamModel}`,
      { kind: SpanKind.CLIENT, links: linksTo(purchase), attributes },
      trace.setSpan(ROOT_CONTEXT, this.#process),
    );
    if (this.#chat.isRecording()) this.#chat.setAttributes(requestAttributes(request));
  }
}

function end(span: Span, outcome: string, code: string | undefined, at?: number): void {
  span.setAttribute(O3Q.outcome, outcome);
  if (code !== undefined) markFailed(span, code);
  span.end(at);
}

/** Returns why the attempt failed; undefined: it did not, or the job only has to wait. */
function codeOf({ kind, code, failure }: TracedOutcome): string | undefined {
  if (kind === 'failed') return code ?? 'internal_error';
  return kind === 'retry' ? failure?.code : undefined;
}
