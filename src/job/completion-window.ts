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

/** DiscountedWindow is a completion window in which the upstream answers later, for less. */
export type DiscountedWindow = Exclude<CompletionWindow, 'soonest'>;

/** WindowDiscounts are the windows that a model offers, each with its discount, from 0 to 1. */
export type WindowDiscounts = { readonly [Window in DiscountedWindow]?: number | undefined };

const HOUR_MS = 3_600_000;

/** WINDOW_MS is the length of each discounted window, in milliseconds. */
export const WINDOW_MS: Readonly<Record<DiscountedWindow, number>> = { '2h': 2 * HOUR_MS, '8h': 8 * HOUR_MS };

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
