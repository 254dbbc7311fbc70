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

/** chainField is the field of a job's data that names the chain of responses to which the job belongs. */
export const chainField = {
  continuation: z
    .string()
    .regex(/^[\w-]{1,64}$/)
    .optional()
    .describe(
      'The id of the first job of the chain that `previous_response_id` continues, or of this job, if it may be ' +
        'bought in a completion window and begins a chain. The upstream is sent it with the window ' +
        '(`background_options.continuation_id`), so that follow-ups keep their place.',
    ),
};

/**
 * NamedUpstreamIds are the upstream's ids of the responses that a body names by ids of this queue, and the
 * chain to which they belong.
 */
export interface NamedUpstreamIds {
  previous_upstream_id?: string | undefined;
  comparison_upstream_id?: string | undefined;
  continuation?: string | undefined;
}

/**
 * continuationOf returns the id of a job's chain: of the first job to which `previous_response_id` leads
 * back, which may be the job itself. OpenAI says neither how long such an id may be nor what it may contain,
 * so a job of another BullMQ client with an unusual id begins no chain.
 *
 * @param stored `continuation` in the data or options of the job.
 */
export function continuationOf(jobId: string, stored: string | undefined): string | undefined {
  return stored ?? (/^(?!\d+$)[\w-]{1,64}$/.test(jobId) ? jobId : undefined);
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
