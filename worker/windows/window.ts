import type { ModelConfig } from '../../src/config/file.ts';
import {
  type CompletionWindow,
  mayHaveWindows,
  windowIn,
  windowLengthMs,
} from '../../src/job/completion-window.ts';

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
