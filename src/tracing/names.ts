/**
 * The names of attributes are constants of our own. Those of the GenAI conventions (v0.1.0) and of the
 * messaging conventions (v1.44.0) are not stable: they moved again in 2026, and the package
 * `@opentelemetry/semantic-conventions` 1.45.0 still has older ones.
 *
 * No attribute may carry a question, an answer, a key, metadata, or the query of a URL, nor words of the
 * upstream, which may quote any of these.
 */

/** TRACER is the name of the instrumentation scope. */
export const TRACER = 'o3-queue';

/** SYSTEM is the value of `MESSAGING_SYSTEM`. */
export const SYSTEM = 'o3q';

export const MESSAGING = {
  system: 'messaging.system',
  operation: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  /** The model by the name that callers use. */
  destination: 'messaging.destination.name',
  messageId: 'messaging.message.id',
} as const;

export const O3Q = {
  /** The id of the job, on every span. */
  job: 'o3q.job.id',
  /** The number of the attempt, from 1. */
  attempt: 'o3q.attempt',
  /** How long ago the job was enqueued when the attempt began, in milliseconds. */
  wait: 'o3q.wait_ms',
  /** Whether the attempt follows a response that an earlier one bought. */
  adopted: 'o3q.adopted',
  /** How the attempt ended: the `kind` of an Outcome, or `broken` after an unexpected error. */
  outcome: 'o3q.outcome',
  /** Only of tenants that the configuration names. */
  tenant: 'o3q.tenant',
  /** What the response has cost, in US dollars. */
  cost: 'o3q.cost_usd',
  /** The completion window in which the response is bought, such as `8h`. */
  window: 'o3q.window',
} as const;

export const GEN_AI = {
  operation: 'gen_ai.operation.name',
  provider: 'gen_ai.provider.name',
  requestModel: 'gen_ai.request.model',
  requestEffort: 'gen_ai.request.reasoning.level',
  requestMaxTokens: 'gen_ai.request.max_tokens',
  requestStream: 'gen_ai.request.stream',
  requestPrevious: 'gen_ai.request.previous_response.id',
  conversation: 'gen_ai.conversation.id',
  outputType: 'gen_ai.output.type',
  responseId: 'gen_ai.response.id',
  responseModel: 'gen_ai.response.model',
  finishReasons: 'gen_ai.response.finish_reasons',
  /** In seconds. */
  timeToFirstChunk: 'gen_ai.response.time_to_first_chunk',
  inputTokens: 'gen_ai.usage.input_tokens',
  outputTokens: 'gen_ai.usage.output_tokens',
  cacheReadTokens: 'gen_ai.usage.cache_read.input_tokens',
  cacheWriteTokens: 'gen_ai.usage.cache_write.input_tokens',
  reasoningTokens: 'gen_ai.usage.reasoning.output_tokens',
} as const;

export const OPENAI = {
  api: 'openai.api.type',
  requestTier: 'openai.request.service_tier',
  responseTier: 'openai.response.service_tier',
} as const;

/** COMMON are names that every convention shares. */
export const COMMON = {
  serverAddress: 'server.address',
  serverPort: 'server.port',
  method: 'http.request.method',
  status: 'http.response.status_code',
  /** A code of docs/ERRORS.md, or an HTTP status. Never a message. */
  error: 'error.type',
} as const;
