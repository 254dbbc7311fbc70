import type { ChatCompletion } from 'openai/resources/chat/completions';
import type { CompletionUsage } from 'openai/resources/completions';
import { responseIdOf } from '../../../src/job/ids/response-id.ts';
import type { JobView } from '../../../src/job/view.ts';
import { outputOf, serviceTierOf, type UpstreamResponse, usageOf } from '../../../src/responses/response.ts';
import { filledOutput } from '../responses/filled-output.ts';
import { choiceOf } from './chat-message.ts';

/** About is what a chat completion and all its chunks say beside the answer. */
type About = Pick<ChatCompletion, 'id' | 'created' | 'model' | 'service_tier'>;

/**
 * chatCompletionOf returns a completed job as a chat completion:
 * https://platform.openai.com/docs/api-reference/chat/object
 */
export function chatCompletionOf(job: JobView, response: UpstreamResponse): ChatCompletion {
  const usage = chatUsageOf(response);
  return {
    object: 'chat.completion',
    ...aboutCompletion(job, response),
    choices: [
      choiceOf({
        ...response,
        output: filledOutput(outputOf(response), responseIdOf(job.id), response.status),
      }),
    ],
    ...(usage !== undefined && { usage }),
    ...extrasOf(response),
  };
}

/**
 * aboutCompletion returns the fields that each chunk has, too.
 * @param response undefined while the job has none: the model is then the name that the caller asked for.
 */
export function aboutCompletion(job: JobView, response?: UpstreamResponse): About {
  const tier = response === undefined ? null : serviceTierOf(response);
  return {
    // The same digits as in the id of the job and of its response, so that a log leads to them.
    id: responseIdOf(job.id).replace(/^resp_/, 'chatcmpl-'),
    created: Math.floor(Date.parse(job.created_at) / 1000),
    model: response?.model ?? job.model,
    ...(tier !== null && { service_tier: tier as NonNullable<About['service_tier']> }),
  };
}

/** chatUsageOf returns undefined when the upstream did not report usage. */
export function chatUsageOf(response: UpstreamResponse): CompletionUsage | undefined {
  const usage = usageOf(response);
  if (usage === null) return undefined;
  return {
    prompt_tokens: usage.input_tokens,
    completion_tokens: usage.output_tokens,
    total_tokens: usage.total_tokens,
    prompt_tokens_details: {
      cached_tokens: usage.cached_tokens,
      cache_write_tokens: usage.cache_write_tokens,
      audio_tokens: 0,
    },
    completion_tokens_details: {
      reasoning_tokens: usage.reasoning_tokens,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

function extrasOf({ metadata, ...response }: UpstreamResponse & { moderation?: unknown }): object {
  const { moderation } = response;
  return {
    ...(metadata && Object.keys(metadata).length > 0 && { metadata }),
    ...(moderation !== undefined && moderation !== null && { moderation }),
  };
}
