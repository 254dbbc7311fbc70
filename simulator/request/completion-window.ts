import { type ApiError, badRequest } from '../api/errors.ts';
import { enumField, objectField, stringField } from '../api/fields.ts';
import type { JsonObject } from '../api/json.ts';
import type { ServedTier, WindowFault } from '../faults/faults.ts';

const HOUR_MS = 3_600_000;
/** How late a missed window ends at most, as a share of the window. */
const MOST_LATE = 0.25;
const NAMES = ['soonest', '2h', '8h'] as const;

/**
 * CompletionWindow is how long OpenAI may take for a response. `soonest` is no window: no discount and no
 * conditions.
 */
export type CompletionWindow = (typeof NAMES)[number];

/** WINDOW_MS is the length of each window from the create on, in milliseconds. */
export const WINDOW_MS: Readonly<Record<CompletionWindow, number | undefined>> = {
  soonest: undefined,
  '2h': 2 * HOUR_MS,
  '8h': 8 * HOUR_MS,
};

/** WINDOW_MODELS are the models for which OpenAI documents windows. */
export const WINDOW_MODELS: readonly string[] = ['gpt-6.2-sol', 'gpt-6.2-astra'];

/** BackgroundOptions are what a create's `background_options` says. */
export type BackgroundOptions = {
  readonly completionWindow: CompletionWindow;
  /** Names a group of related responses; undefined: none is named. */
  readonly continuationId: string | undefined;
};

export const NO_BACKGROUND_OPTIONS: BackgroundOptions = {
  completionWindow: 'soonest',
  continuationId: undefined,
};

/** WindowedCreate is what decides whether a create may have a window. */
type WindowedCreate = {
  readonly body: JsonObject;
  readonly model: { readonly id: string };
  readonly background: boolean;
  readonly stream: boolean;
  readonly sim: { readonly tier: ServedTier | undefined };
};

/**
 * readBackgroundOptions reads `background_options` and checks the conditions of a window.
 * @throws a 400 whose `param` is the field that stands against the window. OpenAI's wording is not known.
 */
export function readBackgroundOptions(
  create: WindowedCreate,
  windowModels: readonly string[],
): BackgroundOptions {
  const options = objectField(create.body, 'background_options') ?? {};
  const path = 'background_options.completion_window';
  const window = enumField(options, 'completion_window', path, NAMES) as CompletionWindow | undefined;
  const continuationId = stringField(options, 'continuation_id');
  if (window === undefined || window === 'soonest') return { completionWindow: 'soonest', continuationId };
  const refuse = (condition: string, param: string): ApiError =>
    badRequest(`The completion window '${window}' ${condition}.`, { param, code: 'unsupported_value' });
  if (!windowModels.includes(create.model.id))
    throw refuse(`is not supported with the model \`${create.model.id}\``, path);
  if (!create.background) throw refuse('requires background: true', 'background');
  if (create.stream) throw refuse('cannot be used with stream: true', 'stream');
  if (!isStandard(create)) throw refuse('requires Standard processing', 'service_tier');
  return { completionWindow: window, continuationId };
}

/** asksForWindow returns whether a body asks for a window, well-formed or not, other than `soonest`. */
export function asksForWindow(body: JsonObject): boolean {
  const options = body['background_options'];
  const window =
    typeof options === 'object' && options !== null && 'completion_window' in options
      ? options.completion_window
      : undefined;
  return window !== undefined && window !== null && window !== 'soonest';
}

/**
 * waitInWindow returns how long a response waits before its think time, in milliseconds. Without a fault it
 * ends at a random place within its window, and with `window_missed` at most a quarter of the window late.
 * @param place from 0 to 1, exclusive.
 */
export function waitInWindow(
  windowMs: number,
  { thinkMs, place, fault }: { thinkMs: number; place: number; fault: WindowFault | undefined },
): number {
  if (fault === 'window_early') return 0;
  if (fault === 'window_missed') return windowMs * (1 + MOST_LATE * (1 - place));
  return Math.max(0, windowMs - thinkMs) * place;
}

/** windowsUnknown is the error of a server that refuses unknown fields and knows no windows. */
export function windowsUnknown(): ApiError {
  return badRequest("Unknown parameter: 'background_options'.", {
    param: 'background_options',
    code: 'unknown_parameter',
  });
}

/**
 * `auto` is the tier that the project is set to. `metadata.sim_tier` stands for a project that is set to
 * another tier than Standard.
 */
function isStandard({ body, sim }: WindowedCreate): boolean {
  const asked = body['service_tier'] ?? 'auto';
  return asked === 'default' || (asked === 'auto' && (sim.tier ?? 'default') === 'default');
}
