import { z } from 'zod';

/**
 * The limit for one header, in characters, because headers are stored in the job's data, which may be listed
 * and copied many times.
 */
const MOST_CHARACTERS = 256;

const headerValue = z
  .string()
  .max(MOST_CHARACTERS)
  .regex(/^[!-~](?:[ -~]*[!-~])?$/, 'expected printable ASCII characters without a space at either end');

/**
 * UpstreamHeaders are the headers that a job sends to the upstream, by their names in lower case. It is not
 * an interface, because the SDK takes no interface as headers.
 */
export type UpstreamHeaders = {
  /** The beta features of the API that the request uses. */
  'openai-beta'?: string | undefined;
  /** The OpenAI organization that the request is made for. */
  'openai-organization'?: string | undefined;
  /** The OpenAI project that the request is made for. */
  'openai-project'?: string | undefined;
};

/**
 * upstreamHeaders are the headers of OpenAI's API that are passed from a caller to the upstream. Their names
 * are written in lower case.
 */
export const upstreamHeaders = z
  .strictObject({
    'openai-beta': headerValue.optional().describe('The beta features of the API that the request uses.'),
    'openai-organization': headerValue
      .optional()
      .describe('The OpenAI organization that the request is made for.'),
    'openai-project': headerValue.optional().describe('The OpenAI project that the request is made for.'),
  })
  .describe(
    'Headers for the upstream, which are sent at every call about this job: when its response is created, ' +
      'looked up, cancelled and deleted.',
  ) satisfies z.ZodType<UpstreamHeaders>;

export const UPSTREAM_HEADER_NAMES = upstreamHeaders.keyof().options;

/** upstreamHeadersIn returns the headers in a job's stored data; {} for data without valid headers. */
export function upstreamHeadersIn(data: unknown): UpstreamHeaders {
  const found = typeof data === 'object' && data !== null && 'upstream_headers' in data;
  return (found && upstreamHeaders.safeParse(data.upstream_headers).data) || {};
}

/**
 * namesAccount says whether the headers choose the account at the upstream: the organization or the project.
 */
export function namesAccount(headers: UpstreamHeaders): boolean {
  return headers['openai-organization'] !== undefined || headers['openai-project'] !== undefined;
}
