import { type Refusal, TerminalError } from '../../src/errors/failure.ts';
import { failureFromSdk, refusalIn, refusesBackground } from './errors.ts';

/**
 * WindowRefusedError says that the upstream refuses the completion window of a create. Nothing was bought.
 * The job fails if its own request names the window. A window that the queue chose is dropped.
 */
export class WindowRefusedError extends TerminalError {
  constructor(message: string, options: ErrorOptions & { refusal?: Refusal }) {
    super('invalid_request', message, options);
  }
}

/** The fields on which a window depends (OpenAI's guide to background mode, November 2026). */
const FIELD = /^(background_options\b|background$|store$|stream$|service_tier$|model$)/;
const WORDS =
  /\bbackground_options\b|\bcompletion[ _-]windows?\b|\bbackground\b|\bstream(ing|ed)?\b|\bservice[ _]tier\b/i;
const WINDOW_WORDS = /\bbackground_options\b|\bcompletion[ _-]windows?\b/i;
/** With these codes a refusal concerns the model itself, unless its words name the window. */
const MODEL_CODE = /model_not_found|deployment_?not_?found/i;

/**
 * windowRefusalFrom judges the error of a create with a completion window. No wording of OpenAI's is known,
 * so each refusal of a field on which a window depends counts. It must be judged before any other meaning:
 * "requires background: true" would otherwise read as a server without background mode, and "this model does
 * not support completion windows" as a missing model.
 *
 * @returns undefined when the error is about something else.
 */
export function windowRefusalFrom(error: unknown): WindowRefusedError | undefined {
  const refusal = refusalIn(error);
  if (refusal === undefined || !refusesWindow(error, refusal)) return undefined;
  const { form: _, ...words } = refusal;
  const message = failureFromSdk(error)?.message ?? words.message;
  return new WindowRefusedError(message, { refusal: words, cause: error });
}

function refusesWindow(
  error: unknown,
  { status, code, param, message }: NonNullable<ReturnType<typeof refusalIn>>,
): boolean {
  if (WINDOW_WORDS.test(message) || WINDOW_WORDS.test(param ?? ''))
    return (status ?? 0) < 500 && status !== 429;
  if (status !== 400 && status !== 422) return refusesBackground(error);
  if (MODEL_CODE.test(code ?? '')) return false;
  return FIELD.test(param ?? '') || WORDS.test(message);
}
