import type { Attributes, AttributeValue } from '@opentelemetry/api';
import { REASONING_EFFORTS } from '../job/request.ts';
import { isFields } from '../responses/output-item-fields.ts';
import { incompleteReasonOf, serviceTierOf, type UpstreamResponse, usageOf } from '../responses/response.ts';
import { COMMON, GEN_AI, O3Q, OPENAI } from './names.ts';

/** ChatRequest is what the span of a response says of its request. */
export interface ChatRequest {
  /** The body of the create request. */
  body: Readonly<Record<string, unknown>>;
  /** The model that the upstream is asked for. */
  upstreamModel: string;
  stream: boolean;
  /** The URL of the upstream. */
  address: string;
  /** The completion window; undefined: none. */
  window: string | undefined;
}

/** ChatEnd is what the span of a response says of its end. */
export interface ChatEnd {
  response: UpstreamResponse;
  /** What the response has cost, in US dollars; null: unknown. */
  costUsd: number | null;
}

/** requestAttributes describes a create request without any of its content. */
export function requestAttributes({ body, upstreamModel, stream, address, window }: ChatRequest): Attributes {
  const {
    reasoning,
    max_output_tokens: maxTokens,
    previous_response_id: previous,
    conversation,
    text,
  } = body;
  const effort = isFields(reasoning) ? reasoning['effort'] : undefined;
  const format = isFields(text) && isFields(text['format']) ? text['format']['type'] : 'text';
  return known({
    [GEN_AI.operation]: 'chat',
    [GEN_AI.provider]: 'openai',
    [OPENAI.api]: 'responses',
    [GEN_AI.requestModel]: upstreamModel,
    [GEN_AI.requestEffort]: REASONING_EFFORTS.find((one) => one === effort),
    [GEN_AI.requestMaxTokens]: typeof maxTokens === 'number' ? maxTokens : undefined,
    [GEN_AI.requestStream]: stream,
    [GEN_AI.requestPrevious]: name(previous),
    [GEN_AI.conversation]: name(isFields(conversation) ? conversation['id'] : conversation),
    [GEN_AI.outputType]: format === 'text' ? 'text' : 'json',
    [OPENAI.requestTier]: name(body['service_tier']),
    [O3Q.window]: name(window),
    ...serverAttributes(address),
  });
}

/** responseAttributes describes the end of a response: what it was, what it used, and what it cost. */
export function responseAttributes({ response, costUsd }: ChatEnd): Attributes {
  const usage = usageOf(response);
  const reason = finishReasonOf(response);
  return known({
    [GEN_AI.responseId]: name(response.id),
    [GEN_AI.responseModel]: name(response.model),
    [GEN_AI.finishReasons]: reason === undefined ? undefined : [reason],
    [OPENAI.responseTier]: name(serviceTierOf(response)),
    [GEN_AI.inputTokens]: usage?.input_tokens,
    [GEN_AI.outputTokens]: usage?.output_tokens,
    [GEN_AI.cacheReadTokens]: usage?.cached_tokens,
    [GEN_AI.cacheWriteTokens]: usage?.cache_write_tokens,
    [GEN_AI.reasoningTokens]: usage?.reasoning_tokens,
    [O3Q.cost]: costUsd ?? undefined,
  });
}

/** serverAttributes names the host and the port of a URL, without its path and its query. */
export function serverAttributes(url: string): Attributes {
  const { hostname, port, protocol } = new URL(url);
  const usual = protocol === 'http:' ? 80 : 443;
  return { [COMMON.serverAddress]: hostname, [COMMON.serverPort]: port === '' ? usual : Number(port) };
}

/** The words of Chat Completions, which the convention uses. */
function finishReasonOf(response: UpstreamResponse): string | undefined {
  if (response.status === 'completed') return 'stop';
  const reason = incompleteReasonOf(response);
  return reason === 'max_output_tokens' ? 'length' : name(reason);
}

/**
 * A caller or an upstream may have written anything where a name or an id stands. What has blanks, or is long,
 * is not a name, and could be a part of a question.
 */
function name(value: unknown): string | undefined {
  return typeof value === 'string' && /^[\w.:/-]{1,128}$/.test(value) ? value : undefined;
}

function known(attributes: Readonly<Record<string, AttributeValue | undefined>>): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}
