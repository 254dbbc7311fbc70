import type { ModelConfig } from '../../src/config/file.ts';
import {
  type CompletionWindow,
  type DiscountedWindow,
  mayHaveWindows,
  WINDOW_MS,
  windowIn,
  windowLengthMs,
  windowNamed,
} from '../../src/job/completion-window.ts';
import { isFields } from '../../src/responses/output-item-fields.ts';
import type { UpstreamResponse } from '../../src/responses/response.ts';

/** AttemptWindow is the completion window in which an attempt buys or follows a response. */
export interface AttemptWindow {
  /** `2h`, `8h`, or another window that the job's own request names. */
  readonly name: string;
  /** Whether the job's own request names the window. A refusal of it then fails the job. */
  readonly isCallers: boolean;
}

/** How much later than its window a response may end, in milliseconds. OpenAI aims for the window. */
const LATE_MS = 3_600_000;

/** limitMs is how long an attempt within this window may take if its job names no time, in milliseconds. */
export function limitMs({ name }: AttemptWindow): number {
  return windowLengthMs(name) + LATE_MS;
}

/**
 * buysAgainAt returns when a response within a window is cancelled and another one is bought: `needed_by` of a
 * job with `on_late: "buy_again"`, in Unix milliseconds. Infinity: never.
 * @param data the job's data, unchecked.
 */
export function buysAgainAt(data: unknown): number {
  if (!isFields(data) || data['on_late'] !== 'buy_again') return Number.POSITIVE_INFINITY;
  const at = Date.parse(String(data['needed_by']));
  return Number.isNaN(at) ? Number.POSITIVE_INFINITY : at;
}

/**
 * So long before its `needed_by`, in milliseconds, a job that is bought again at that time gets no window. The
 * clocks of two workers differ by less.
 */
const TOO_LATE_MS = 60_000;

/** isTooLate says whether a response within a window would be cancelled about as soon as it is bought. */
export function isTooLate({ lateAt, now }: { lateAt: number; now: number }): boolean {
  return now >= lateAt - TOO_LATE_MS;
}

/** UsedWindow is the window in which an answer was bought, and whether the answer came before its end. */
export interface UsedWindow {
  readonly name: DiscountedWindow;
  readonly isMet: boolean;
}

/**
 * usedWindow returns the window of an answer; undefined: it had none that this queue knows. The upstream's own
 * times count, where it reports them: a lookup may find an end minutes later.
 * @param tookMs how long the response took, as far as this worker knows, in milliseconds.
 */
export function usedWindow(
  { created_at: from, completed_at: to }: UpstreamResponse,
  window: AttemptWindow | undefined,
  tookMs: number,
): UsedWindow | undefined {
  const name = windowNamed(window?.name);
  if (name === undefined || name === 'soonest') return undefined;
  const isTimed = typeof from === 'number' && typeof to === 'number';
  return { name, isMet: (isTimed ? (to - from) * 1000 : tookMs) <= WINDOW_MS[name] };
}

/**
 * windowOf returns the window of an attempt; undefined: the response is bought as `soonest`. What the
 * dispatcher has chosen and stored in the record counts. A job that no producer of ours has enqueued has no
 * choice in its record; its own request then decides.
 */
export function windowOf(
  chosen: CompletionWindow | undefined,
  body: Readonly<Record<string, unknown>>,
  { model, upstreamModel }: { model: ModelConfig; upstreamModel: string },
): AttemptWindow | undefined {
  if (chosen === 'soonest') return undefined;
  const own = windowIn(body);
  if (own === undefined) return chosen && { name: chosen, isCallers: false };
  const isOffered = chosen !== undefined || mayHaveWindows(model, upstreamModel);
  return isOffered ? { name: own, isCallers: true } : undefined;
}

/**
 * bodyInWindow returns the body of a create in a window, or without any window. A window requires Standard
 * processing. A project may be configured for another tier, so `default` is named unless the caller has named
 * a tier.
 * @param continuation the chain of follow-ups to which the job belongs. The upstream puts such requests forward.
 */
export function bodyInWindow(
  body: Record<string, unknown>,
  window: AttemptWindow | undefined,
  continuation: string | undefined,
): Record<string, unknown> {
  if (window === undefined) {
    if (windowIn(body) === undefined) return body;
    const { background_options: _dropped, ...rest } = body;
    return rest;
  }
  const { background_options: asked } = body;
  const options = typeof asked === 'object' && asked !== null ? asked : {};
  const chain = continuation === undefined ? {} : { continuation_id: continuation };
  return {
    ...body,
    background_options: { ...chain, ...options, completion_window: window.name },
    store: body['store'] ?? true,
    service_tier: body['service_tier'] ?? 'default',
  };
}
