import { QueueError } from '../../../src/errors/problem.ts';
import { isJsonObject, parseExact } from '../../../src/job/exact-json.ts';
import { type JobRequest, parseJobRequest } from '../../../src/job/request.ts';

/** Origin is what an output line repeats of its input line. */
export type Origin =
  | { format: 'openai'; customId: unknown }
  | { format: 'ours'; customId: unknown; metadata: unknown };

/** LineError says why a line of the input has no answer. */
export interface LineError {
  code: string;
  message: string;
}

/** InputLine is a parsed line of the input: the request that it makes, or why it is refused. */
export type InputLine = { origin: Origin } & (
  | { ok: true; request: JobRequest }
  | { ok: false; error: LineError }
);

/** LineOptions are what a batch says for all its lines, in place of what they say themselves. */
export type LineOptions = Pick<JobRequest, 'model' | 'needed_by' | 'on_late'>;

/** The endpoint of OpenAI's Batch API that o3-queue serves. */
const RESPONSES_URL = '/v1/responses';
const NO_ORIGIN: Origin = { format: 'ours', customId: undefined, metadata: undefined };

/**
 * parseInputLine reads a line of the input: a question as a JSON string, a body of `POST /jobs` with an
 * optional `custom_id`, or a request of OpenAI's Batch API, which is recognized by its `custom_id` and
 * `body`.
 *
 * @param bytes undefined for a line that is too long.
 */
export function parseInputLine(bytes: Buffer | undefined, forAll: LineOptions): InputLine {
  if (bytes === undefined)
    return refused(NO_ORIGIN, 'line_too_long', 'Expected a line of at most 50 MB, got more');
  let value: unknown;
  try {
    value = jsonOf(bytes);
  } catch (error: unknown) {
    const reason = error instanceof Error ? error.message : String(error);
    return refused(NO_ORIGIN, 'malformed_json', `Expected a line of JSON in UTF-8: ${reason}`);
  }
  if (typeof value === 'string') return checked(NO_ORIGIN, { question: value }, forAll);
  if (!isJsonObject(value)) {
    return refused(NO_ORIGIN, 'invalid_request', 'Expected a JSON string or object, got another JSON value');
  }
  return Object.hasOwn(value, 'custom_id') && Object.hasOwn(value, 'body')
    ? fromOpenAi(value, forAll)
    : fromOurs(value, forAll);
}

/** customIdOf reads only the custom_id of a line; undefined: it has none, or is not JSON. */
export function customIdOf(bytes: Buffer): unknown {
  try {
    const value = jsonOf(bytes);
    return isJsonObject(value) ? value['custom_id'] : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Parses the JSON of a line. TextDecoder also removes a byte order mark. Numbers keep their digits on their
 * way to the instance.
 */
function jsonOf(bytes: Buffer): unknown {
  return parseExact(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
}

function fromOpenAi(line: Record<string, unknown>, forAll: LineOptions): InputLine {
  const { custom_id: customId, method, url, body } = line;
  const origin: Origin = { format: 'openai', customId };
  if (typeof customId !== 'string') return refused(origin, 'invalid_request', 'custom_id: expected a string');
  if (method !== 'POST') return refused(origin, 'invalid_request', 'method: expected "POST"');
  if (url !== RESPONSES_URL) {
    return refused(
      origin,
      'unsupported_url',
      `url: expected "${RESPONSES_URL}", the only endpoint that a batch supports`,
    );
  }
  return checked(origin, { request: body }, forAll);
}

function fromOurs(line: Record<string, unknown>, forAll: LineOptions): InputLine {
  const { custom_id: customId, ...request } = line;
  const inner = isJsonObject(request['request']) ? request['request'] : request;
  return checked({ format: 'ours', customId, metadata: inner['metadata'] }, request, forAll);
}

/**
 * checked validates a request before it is sent. The instance validates it too, but this way an invalid line
 * costs no round trip.
 */
function checked(origin: Origin, request: object, forAll: LineOptions): InputLine {
  try {
    return { ok: true, origin, request: parseJobRequest({ ...request, ...forAll }) };
  } catch (error: unknown) {
    if (error instanceof QueueError) return refused(origin, error.code, error.message);
    throw error;
  }
}

function refused(origin: Origin, code: string, message: string): InputLine {
  return { ok: false, origin, error: { code, message } };
}
