import { z } from 'zod';
import { isJsonObject } from '../exact-json.ts';

/**
 * A body of the Responses API names other responses in two fields: `previous_response_id`, and
 * `prompt_cache_options.comparison_response_id`. A caller may name them by ids of this queue, which the
 * upstream does not know. The job keeps the body as the caller sent it, and beside it the upstream's ids.
 */
export const upstreamIdFields = {
  previous_upstream_id: z
    .string()
    .min(1)
    .optional()
    .describe(
      'The upstream’s id of the response that `previous_response_id` names, where that is a response of' +
        ' this queue.',
    ),
  comparison_upstream_id: z
    .string()
    .min(1)
    .optional()
    .describe(
      'The upstream’s id of the response that `prompt_cache_options.comparison_response_id` names, where' +
        ' that is a response of this queue.',
    ),
};

/** NamedUpstreamIds are the upstream's ids of the responses that a body names by ids of this queue. */
export interface NamedUpstreamIds {
  previous_upstream_id?: string | undefined;
  comparison_upstream_id?: string | undefined;
}

/** NamedResponse is a response that a body names. */
export interface NamedResponse {
  /** Where the body names it. */
  path: 'previous_response_id' | 'prompt_cache_options.comparison_response_id';
  field: keyof NamedUpstreamIds;
  id: string;
}

/** namedResponses lists the responses that a body names. */
export function namedResponses(body: Readonly<Record<string, unknown>>): NamedResponse[] {
  const { previous_response_id: previous, prompt_cache_options: cache } = body;
  const comparison = isJsonObject(cache) ? cache['comparison_response_id'] : undefined;
  const named: NamedResponse[] = [];
  if (typeof previous === 'string')
    named.push({ path: 'previous_response_id', field: 'previous_upstream_id', id: previous });
  if (typeof comparison === 'string') {
    const path = 'prompt_cache_options.comparison_response_id';
    named.push({ path, field: 'comparison_upstream_id', id: comparison });
  }
  return named;
}

/** withUpstreamIds replaces the ids of this queue in a body by the upstream's ids. */
export function withUpstreamIds(
  body: Record<string, unknown>,
  { previous_upstream_id: previous, comparison_upstream_id: comparison }: NamedUpstreamIds,
): Record<string, unknown> {
  if (previous === undefined && comparison === undefined) return body;
  const { prompt_cache_options: cache } = body;
  return {
    ...body,
    ...(previous !== undefined && { previous_response_id: previous }),
    ...(comparison !== undefined &&
      isJsonObject(cache) && { prompt_cache_options: { ...cache, comparison_response_id: comparison } }),
  };
}
