import type { ModelConfig } from '../config/file.ts';
import {
  DEFAULT_MARGIN_MS,
  type DiscountedWindow,
  mayHaveWindows,
  type WindowDiscounts,
  windowFor,
} from '../job/completion-window.ts';
import type { StoredOptions } from '../job/stored-options.ts';

/** NeededWindow is a completion window for which a job asks. */
export interface NeededWindow {
  /** `2h`, `8h`, or another window that the job's own request names. */
  name: string;
  /** Whether the job's own request names it. Only such a job gets one after a refusal of windows. */
  isCallers: boolean;
}

/** WindowLateness says how much later than its window the latest answer came, and of how many answers. */
export type WindowLateness = Readonly<Record<DiscountedWindow, { lateMs: number; answers: number }>>;

/** WindowMargins are the times that must be left beyond each window, in milliseconds. */
export type WindowMargins = Readonly<Record<DiscountedWindow, number>>;

/** The answers after which the margins go by what the answers took. */
const ENOUGH_ANSWERS = 20;
/** The least margin, as a share of the default one. */
const LEAST_SHARE = 0.25;
/** The margin is so many times as long as the latest answer was late. */
const SAFETY = 1.5;
const LONGEST_MARGIN_MS = 4 * 3_600_000;

/** Windows require Standard processing: a job for another tier gets none from the queue. */
const STANDARD: readonly (string | undefined)[] = [undefined, 'auto', 'default'];

/** hasWindows says whether jobs of a model may be sent within a window to this upstream model. */
export function hasWindows(
  model: Pick<ModelConfig, 'upstream' | 'background'>,
  upstreamModel: string,
): boolean {
  return mayHaveWindows(model, upstreamModel) && model.background !== 'never';
}

/** windowsFor returns the windows among which the queue chooses for a job of a service tier. */
export function windowsFor(
  model: Pick<ModelConfig, 'upstream' | 'background' | 'completionWindows'>,
  upstreamModel: string,
  tier: string | undefined,
): WindowDiscounts {
  return hasWindows(model, upstreamModel) && STANDARD.includes(tier) ? model.completionWindows : {};
}

/**
 * chooseWindow returns the window of a job; undefined: it needs none, or the time that is left is too short
 * for any. The dispatcher chooses with it, and a quote says with it what the dispatcher would choose.
 *
 * @param leftMs the time from the create request until the answer is needed, in milliseconds; undefined: the
 * job does not say when.
 * @param options.isRefused whether the upstream has refused a window lately. Then only the window that the job's
 * own request names is sent. The dispatcher leaves this to the reservation, which reads it in the same step.
 */
export function chooseWindow(
  { window, tier }: Pick<NonNullable<StoredOptions['need']>, 'window' | 'tier'>,
  leftMs: number | undefined,
  {
    model,
    upstreamModel,
    marginMs,
    isRefused = false,
  }: { model: ModelConfig; upstreamModel: string; marginMs: WindowMargins; isRefused?: boolean },
): NeededWindow | undefined {
  if (window !== undefined)
    return hasWindows(model, upstreamModel) ? { name: window, isCallers: true } : undefined;
  if (leftMs === undefined || isRefused) return undefined;
  const name = windowFor({ leftMs, offered: windowsFor(model, upstreamModel, tier), marginMs });
  return name === 'soonest' ? undefined : { name, isCallers: false };
}

/**
 * marginsFor returns the times that must be left beyond each window. Each is the default one until enough
 * answers have shown how late the upstream is. After that it is shorter where all answers came within their
 * window, and longer where some did not.
 */
export function marginsFor(lateness: WindowLateness): WindowMargins {
  return { '2h': marginFor('2h', lateness), '8h': marginFor('8h', lateness) };
}

function marginFor(window: DiscountedWindow, lateness: WindowLateness): number {
  const { lateMs, answers } = lateness[window];
  const usual = DEFAULT_MARGIN_MS[window];
  const least = answers < ENOUGH_ANSWERS ? usual : usual * LEAST_SHARE;
  return Math.min(Math.max(least, lateMs * SAFETY), LONGEST_MARGIN_MS);
}

/**
 * latenessFrom reads what the scripts of the quota return for `late_ms` and `n:late_ms` of the window of 2 and
 * then of 8 hours; null: no answer has come within that window yet.
 */
export function latenessFrom(fields: readonly (string | null)[]): WindowLateness {
  const [lateTwo, two, lateEight, eight] = fields;
  return {
    '2h': { lateMs: Number(lateTwo ?? 0), answers: Number(two ?? 0) },
    '8h': { lateMs: Number(lateEight ?? 0), answers: Number(eight ?? 0) },
  };
}
