import { failureFromResponseError, type RetryableError, TerminalError } from '../../src/errors/failure.ts';
import { preview } from '../../src/errors/preview.ts';
import type { FinishedStatus } from '../../src/job/job.ts';
import type { ResultSummary } from '../../src/job/view.ts';
import {
  answerOf,
  incompleteReasonOf,
  refusalOf,
  serviceTierOf,
  type UpstreamResponse,
} from '../../src/responses/response.ts';
import type { RunEnd, RunRecord } from '../../src/run/record.ts';
import type { Estimate, Spent } from '../../src/run/spent.ts';
import type { RunRecordWriter } from '../../src/run/writer.ts';
import type { Cost } from '../../src/usage/price.ts';
import { usdFrom } from '../../src/usage/usd.ts';
import type { UsedWindow } from '../windows/window.ts';
import { type Pricing, spentOn } from './purchase/spent.ts';

/** Outcome is how an attempt ended, as data. The model worker turns it into BullMQ's terms. */
export type Outcome =
  /** `answered`: undefined when an earlier attempt has got the answer. */
  | { kind: 'completed'; summary: ResultSummary; answered?: Answered }
  | { kind: 'failed'; code: string; message: string }
  | { kind: 'cancelled' }
  /**
   * A later attempt may succeed. `attempt` is the number of the failed attempt; the next one begins after
   * `delayMs`.
   */
  | { kind: 'retry'; failure: RetryableError; attempt: number; delayMs: number }
  /**
   * The job waits for `delayMs`, uncharged, because the conversation that it continues is in use at the
   * upstream.
   */
  | { kind: 'held'; failure: RetryableError; delayMs: number }
  /** The worker stops, and gives the job back uncharged. */
  | { kind: 'released' }
  /**
   * The job goes back into the fair queue, uncharged: it has no reservation, or nothing may be sent to the
   * upstream now.
   */
  | { kind: 'postponed' }
  /** Another worker holds the job, so this one writes nothing. */
  | { kind: 'lost' };

/** Answered says how long the answer of an attempt took. */
export interface Answered {
  /** From the purchase to the end of the response, in milliseconds. */
  tookMs: number;
  /** undefined: the response was bought without a completion window. */
  window: UsedWindow | undefined;
}

export interface EndOptions {
  /** The upstream model that was the first choice, when another one has answered. */
  fallbackFrom?: string | null;
  /** Whether the simulator has answered, which costs nothing. */
  simulated?: boolean;
  /** What is booked when the response reports no usage. */
  estimate?: Estimate | undefined;
}

/**
 * endFrom returns what the end of a response means for its job. An answer that was cut short is still an
 * answer, and is stored with the reason for the cut.
 * @throws {Failure} when the response ended without an answer.
 */
export function endFrom(
  response: UpstreamResponse,
  pricing: Pricing,
  { fallbackFrom = null, simulated = false, estimate }: EndOptions = {},
): RunEnd {
  if (response.status === 'failed') {
    const { code, message, ...rest } = response.error ?? {};
    throw failureFromResponseError({
      ...rest,
      code: code ?? 'unknown',
      message: message ?? 'the upstream gave no reason',
    });
  }
  if (response.status === 'cancelled') {
    throw new TerminalError(
      'response_cancelled',
      `Response ${response.id} was cancelled at the upstream, not by this queue`,
    );
  }
  const spent = spentOn(response, pricing, estimate);
  const answer = answerOf(response);
  return {
    status: 'completed',
    response,
    spent,
    summary: {
      usage: spent.usage,
      ...costFields(simulated ? FREE : spent.cost),
      simulated,
      service_tier: serviceTierOf(response),
      answer_preview: answer === null ? null : preview(answer, 500),
      upstream_model: response.model ?? 'unknown',
      fallback_from: fallbackFrom,
      fallback_extra_usd: simulated ? null : usdFrom(extraNano(response, spent, fallbackFrom, pricing)),
      incomplete_reason: incompleteReasonOf(response),
      refusal: refusalOf(response),
    },
  };
}

const FREE: Cost = { nano: 0, listNano: 0, isEstimated: false };

function costFields(cost: Cost | null) {
  return {
    cost_usd: usdFrom(cost?.nano),
    list_usd: usdFrom(cost?.listNano),
    saved_usd: usdFrom(cost && cost.listNano - cost.nano),
    cost_estimated: cost?.isEstimated ?? false,
  };
}

/**
 * Returns how much more the answer cost than the same number of tokens would have cost with the first choice,
 * in nano-dollars; null: no fallback answered, or the difference is unknown.
 */
function extraNano(
  response: UpstreamResponse,
  { usage, cost }: Spent,
  fallbackFrom: string | null,
  { prices, discount }: Pricing,
): number | null {
  if (fallbackFrom === null || cost === null) return null;
  const serviceTier = serviceTierOf(response);
  const firstChoice = prices.costOf({ upstreamModel: fallbackFrom, usage, serviceTier, discount });
  return firstChoice === null ? null : cost.nano - firstChoice.nano;
}

/**
 * writeDown stores the end of a run in its record. It returns the outcome that the record has afterwards: the
 * first end that was stored stays.
 */
export async function writeDown(end: RunEnd, writer: RunRecordWriter): Promise<Outcome> {
  const status = await writer.finish(end);
  return outcomeOf(status, {
    summary: end.status === 'completed' ? end.summary : undefined,
    error: end.status === 'failed' ? end.error : undefined,
  });
}

/** outcomeOf returns the outcome of a run that has a final status. */
export function outcomeOf(
  status: FinishedStatus,
  { summary, error }: Pick<RunRecord, 'summary' | 'error'>,
): Outcome {
  if (status === 'cancelled') return { kind: 'cancelled' };
  if (status === 'completed' && summary !== undefined) return { kind: 'completed', summary };
  return {
    kind: 'failed',
    code: error?.code ?? 'internal_error',
    message: error?.message ?? 'no reason was recorded',
  };
}
