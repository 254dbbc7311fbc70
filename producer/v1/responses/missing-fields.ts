import { isJsonObject } from '../../../src/job/exact-json.ts';
import type { Fields } from '../../../src/responses/output-item-fields.ts';
import { outputOf, type UpstreamResponse, usageOf } from '../../../src/responses/response.ts';
import { filledOutput, withMissing } from './filled-output.ts';

/** Known is what the queue knows of a response without its upstream. */
interface Known {
  /** Our id of the response. */
  responseId: string;
  /** The caller's request. */
  request: Fields;
  /** The fields of a response of which nothing is known but the request. */
  skeleton: Fields;
}

/**
 * missingFieldsOf returns the fields that the upstream's response lacks, and that the queue knows: those that
 * OpenAI's type `Response` requires (`openai` 6.49), and those that the request names. It returns a field
 * that the upstream sent only if a part of it is missing.
 */
export function missingFieldsOf(
  response: UpstreamResponse & Fields,
  { responseId, request, skeleton }: Known,
): Fields {
  const missing: Fields = {};
  for (const [field, known] of Object.entries(skeleton)) {
    const isNamed = request[field] !== undefined && request[field] !== null;
    if ((!isNamed && !REQUIRED.has(field)) || OF_THE_UPSTREAM.has(field)) continue;
    const isMissing = response[field] === undefined || (response[field] === null && NEVER_NULL.has(field));
    if (isMissing) missing[field] = !isNamed && UNKNOWN.has(field) ? null : known;
  }
  const output = filledOutput(outputOf(response), responseId, response.status);
  if (output !== response.output) missing['output'] = output;
  const usage = filledUsage(response);
  if (usage !== response.usage) missing['usage'] = usage;
  return missing;
}

const NEVER_NULL: ReadonlySet<string> = new Set(['model', 'parallel_tool_calls', 'tool_choice', 'tools']);
/** Only the upstream knows with which values it answered a request that names none. */
const UNKNOWN: ReadonlySet<string> = new Set(['temperature', 'top_p']);
const REQUIRED: ReadonlySet<string> = new Set([
  ...NEVER_NULL,
  ...UNKNOWN,
  ...['error', 'incomplete_details', 'instructions', 'metadata'],
]);
/** The request does not decide these fields: the tier that serves a request may be another. */
const OF_THE_UPSTREAM: ReadonlySet<string> = new Set(['output', 'usage', 'service_tier']);

/** filledUsage adds details and a total to a usage that has both counts, and returns any other as it is. */
function filledUsage(response: UpstreamResponse): unknown {
  const { usage } = response;
  if (!isJsonObject(usage)) return usage;
  const counts = usageOf(response);
  const { input_tokens: input = counts?.input_tokens, output_tokens: output = counts?.output_tokens } = usage;
  if (input === undefined || output === undefined) return usage;
  const total = counts?.total_tokens ?? Number(input) + Number(output);
  const { input_tokens_details: inputDetails, output_tokens_details: outputDetails } = usage;
  const details = {
    input_tokens_details: withMissing(isJsonObject(inputDetails) ? inputDetails : {}, {
      cached_tokens: counts?.cached_tokens ?? 0,
      cache_write_tokens: counts?.cache_write_tokens ?? 0,
    }),
    output_tokens_details: withMissing(isJsonObject(outputDetails) ? outputDetails : {}, {
      reasoning_tokens: counts?.reasoning_tokens ?? 0,
    }),
  };
  const filled = withMissing(usage, { input_tokens: input, output_tokens: output, total_tokens: total });
  const isWhole =
    details.input_tokens_details === inputDetails && details.output_tokens_details === outputDetails;
  return isWhole ? filled : { ...filled, ...details };
}
