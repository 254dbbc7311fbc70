/**
 * COMPLETION_WINDOWS are how long the upstream may take to answer, the shortest first. `soonest` is an
 * ordinary response at the full price. The others are discounted (OpenAI's `background_options`, November
 * 2026): the upstream aims to answer within the window, which begins when it accepts the create.
 */
export const COMPLETION_WINDOWS = ['soonest', '2h', '8h'] as const;
export type CompletionWindow = (typeof COMPLETION_WINDOWS)[number];

/** windowNamed returns the completion window of that name; undefined: there is none. */
export function windowNamed(name: unknown): CompletionWindow | undefined {
  return COMPLETION_WINDOWS.find((window) => window === name);
}

/**
 * windowIn returns the window that a request's body asks for; undefined: none, or `soonest`. The upstream may
 * have windows that this queue does not know.
 */
export function windowIn(body: Readonly<Record<string, unknown>>): string | undefined {
  const { background_options: asked } = body;
  const isObject = typeof asked === 'object' && asked !== null && 'completion_window' in asked;
  const named = isObject ? asked.completion_window : undefined;
  return typeof named === 'string' && named !== 'soonest' ? named : undefined;
}

/** DiscountedWindow is a completion window in which the upstream answers later, for less. */
export type DiscountedWindow = Exclude<CompletionWindow, 'soonest'>;

/** WindowDiscounts are the windows that a model offers, each with its discount, from 0 to 1. */
export type WindowDiscounts = { readonly [Window in DiscountedWindow]?: number | undefined };

const HOUR_MS = 3_600_000;

/** WINDOW_MS is the length of each discounted window, in milliseconds. */
export const WINDOW_MS: Readonly<Record<DiscountedWindow, number>> = { '2h': 2 * HOUR_MS, '8h': 8 * HOUR_MS };

/**
 * windowLengthMs returns the length of the window of that name, in milliseconds. A window that this queue
 * does not know counts as the longest known one.
 */
export function windowLengthMs(name: string): number {
  return name === '2h' ? WINDOW_MS['2h'] : WINDOW_MS['8h'];
}

/** The models whose documentation has windows (November 2026), and their snapshots. */
const WITH_WINDOWS = /^gpt-6\.2-(sol|astra)(-\d{4}-\d{2}-\d{2})?$/;

/** OPENAI_WINDOWS are OpenAI's completion windows and their discounts (cost guide, November 2026). */
const OPENAI_WINDOWS: WindowDiscounts = { '2h': 0.3, '8h': 0.4 };

/**
 * usualWindowsOf returns the windows of an upstream model for which the configuration names none: those that
 * its documentation has. A server that does not know windows may ignore that a request asks for one, and the
 * queue would book a discount that was not given.
 */
export function usualWindowsOf(upstreamModel: string): WindowDiscounts {
  return WITH_WINDOWS.test(upstreamModel) ? OPENAI_WINDOWS : {};
}

/**
 * mayHaveWindows says whether windows are tried with an upstream model of a configured model. The first
 * choice may say for itself that it has none. A fallback, which takes over without being asked for, must be
 * known to have windows.
 */
export function mayHaveWindows({ upstream }: { readonly upstream: string }, upstreamModel: string): boolean {
  return upstreamModel === upstream || WITH_WINDOWS.test(upstreamModel);
}

/**
 * DEFAULT_MARGIN_MS is the time that must be left beyond a window, in milliseconds, until the answers of the
 * model have shown what they need. The upstream aims for the window and promises nothing.
 */
export const DEFAULT_MARGIN_MS: Readonly<Record<DiscountedWindow, number>> = {
  '2h': HOUR_MS / 2,
  '8h': HOUR_MS,
};

/** The longest first: a longer window costs less. */
const LONGEST_FIRST = ['8h', '2h'] as const satisfies readonly DiscountedWindow[];

/**
 * windowFor returns the longest window that leaves its margin before the answer is needed.
 *
 * @param choice.leftMs the time until the answer is needed, in milliseconds.
 * @param choice.offered the windows of the model.
 * @param choice.marginMs the time that must be left beyond each window, in milliseconds.
 */
export function windowFor({
  leftMs,
  offered,
  marginMs = DEFAULT_MARGIN_MS,
}: {
  leftMs: number;
  offered: WindowDiscounts;
  marginMs?: Readonly<Record<DiscountedWindow, number>>;
}): CompletionWindow {
  const fits = (window: DiscountedWindow): boolean =>
    offered[window] !== undefined && leftMs >= WINDOW_MS[window] + marginMs[window];
  return LONGEST_FIRST.find(fits) ?? 'soonest';
}

/** discountOf returns the discount of a window, from 0 to 1: 0 for `soonest`, and where the model has none. */
export function discountOf(window: CompletionWindow | undefined, offered: WindowDiscounts): number {
  return window === undefined || window === 'soonest' ? 0 : (offered[window] ?? 0);
}
