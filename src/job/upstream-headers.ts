import { z } from 'zod';

/** The header is part of the job's data, which may be listed and copied many times. */
const MOST_CHARACTERS = 256;

const headerValue = z
  .string()
  .max(MOST_CHARACTERS)
  .regex(/^[!-~](?:[ -~]*[!-~])?$/, 'expected printable ASCII characters without a space at either end');

/**
 * upstreamHeaders are the headers of OpenAI's API that are handed on from a caller to the upstream. Their
 * names are written in lower case.
 */
export const upstreamHeaders = z
  .strictObject({
    'openai-beta': headerValue.optional(),
    'openai-organization': headerValue.optional(),
    'openai-project': headerValue.optional(),
  })
  .describe(
    'Headers for the upstream, which are sent at every call about this job: when its response is created, ' +
      'looked up, cancelled and deleted.',
  );

/** UpstreamHeaders are the headers of a job that the upstream is sent, by their names in lower case. */
export type UpstreamHeaders = z.infer<typeof upstreamHeaders>;

export const UPSTREAM_HEADER_NAMES = upstreamHeaders.keyof().options;

/** upstreamHeadersIn returns the headers in a job's data as it lies in Redis; {} for data without usable ones. */
export function upstreamHeadersIn(data: unknown): UpstreamHeaders {
  const found = typeof data === 'object' && data !== null && 'upstream_headers' in data;
  return (found && upstreamHeaders.safeParse(data.upstream_headers).data) || {};
}

/** namesAccount says whether the headers choose the account at the upstream: its organization or its project. */
export function namesAccount(headers: UpstreamHeaders): boolean {
  return headers['openai-organization'] !== undefined || headers['openai-project'] !== undefined;
}
