import { QueueError } from '../../src/errors/problem.ts';
import { type JobRequest, parseJobRequest } from '../../src/job/request.ts';

/** What a line of the input becomes in the output, beside its answer. */
export type Origin =
  | { format: 'openai'; customId: unknown }
  | { format: 'ours'; customId: unknown; metadata: unknown };

export interface Refusal {
  code: string;
  message: string;
}

/** A line of the input: what it asks, or why it asks nothing. */
export type BatchQuestion = { origin: Origin } & (
  | { ok: true; request: JobRequest }
  | { ok: false; error: Refusal }
);

/** The one endpoint of OpenAI's Batch API that is the Responses API. */
const RESPONSES_URL = '/v1/responses';
const NO_ORIGIN: Origin = { format: 'ours', customId: undefined, metadata: undefined };

/**
 * A line is a question as a JSON text, a request in the form of `POST /jobs` (with a `custom_id`, if it likes), or a request of OpenAI's
 * Batch API, known by its `custom_id` and `body`.
 *
 * @param model asked instead of whatever model the line names; undefined: the line's own.
 */
export function questionIn(bytes: Buffer | undefined, model: string | undefined): BatchQuestion {
  if (bytes === undefined)
    return refused(NO_ORIGIN, 'line_too_long', 'Expected a line of at most 10 MB, got more');
  let value: unknown;
  try {
    // Takes a byte order mark away, too.
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error: unknown) {
    const reason = error instanceof Error ? error.message : String(error);
    return refused(NO_ORIGIN, 'malformed_json', `Expected a line of JSON in UTF-8: ${reason}`);
  }
  if (typeof value === 'string') return checked(NO_ORIGIN, { question: value }, model);
  if (!isRecord(value)) {
    return refused(NO_ORIGIN, 'invalid_request', 'Expected a text or an object, got something else');
  }
  return Object.hasOwn(value, 'custom_id') && Object.hasOwn(value, 'body')
    ? fromOpenAi(value, model)
    : fromOurs(value, model);
}

function fromOpenAi(line: Record<string, unknown>, model: string | undefined): BatchQuestion {
  const { custom_id: customId, method, url, body } = line;
  const origin: Origin = { format: 'openai', customId };
  if (typeof customId !== 'string') return refused(origin, 'invalid_request', 'custom_id: expected a text');
  if (method !== 'POST') return refused(origin, 'invalid_request', 'method: expected "POST"');
  if (url !== RESPONSES_URL) {
    return refused(
      origin,
      'unsupported_url',
      `url: expected "${RESPONSES_URL}", the only one that is answered here`,
    );
  }
  return checked(origin, { request: body }, model);
}

function fromOurs(line: Record<string, unknown>, model: string | undefined): BatchQuestion {
  const { custom_id: customId, ...request } = line;
  const inner = isRecord(request['request']) ? request['request'] : request;
  return checked({ format: 'ours', customId, metadata: inner['metadata'] }, request, model);
}

/** Judged here as well as by the instance: what can never be a job costs no round trip. */
function checked(origin: Origin, request: object, model: string | undefined): BatchQuestion {
  try {
    return {
      ok: true,
      origin,
      request: parseJobRequest(model === undefined ? request : { ...request, model }),
    };
  } catch (error: unknown) {
    if (error instanceof QueueError) return refused(origin, error.code, error.message);
    throw error;
  }
}

function refused(origin: Origin, code: string, message: string): BatchQuestion {
  return { ok: false, origin, error: { code, message } };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
