import type { Concern } from '../../../src/errors/failure.ts';

/** A refusal in the words of one server: who says it, its status, its body, and whom it concerns. */
export type Dialect = readonly [who: string, status: number, body: object | string, concern: Concern];

const openAi = (message: string, code: string | number | null = null, type = 'invalid_request_error') => ({
  error: { message, type, param: null, code },
});

/** DIALECTS are refusals as users have reported them. They were sent for the upstream model o3. */
export const DIALECTS: readonly Dialect[] = [
  // Money.
  ['OpenRouter', 402, openAi('Insufficient credits. Add more and try again.', 402), 'money'],
  ['OpenAI', 400, openAi('Billing hard limit has been reached', 'billing_hard_limit_reached'), 'money'],
  [
    'LiteLLM',
    400,
    openAi('Budget has been exceeded! Current cost: 10.1, Max budget: 10.0', '400', 'budget_exceeded'),
    'money',
  ],
  ['LiteLLM, a key', 429, openAi('ExceededBudget: User=u over budget. Spend=2, Budget=1'), 'money'],
  [
    'xAI',
    403,
    {
      code: 'The caller does not have permission',
      error: 'Your newly created team doesn’t have any credits yet. You can purchase credits at console.x.ai',
    },
    'money',
  ],
  [
    'xAI, used up',
    429,
    {
      code: 'Some resource has been exhausted',
      error: 'Your team has either used all available credits or reached its monthly spending limit.',
    },
    'money',
  ],
  ['DeepSeek', 402, openAi('Insufficient Balance', 'invalid_request_error'), 'money'],
  [
    'Anthropic',
    400,
    {
      type: 'error',
      error: {
        type: 'invalid_request_error',
        message: 'Your credit balance is too low to access the API.',
      },
    },
    'money',
  ],
  ['one-api', 403, openAi('user quota is not enough', 'insufficient_user_quota'), 'money'],
  [
    'Google',
    429,
    [
      {
        error: {
          code: 429,
          message: 'You exceeded your current quota, please check your plan and billing details.',
          status: 'RESOURCE_EXHAUSTED',
        },
      },
    ],
    'money',
  ],
  ['OpenRouter, a key', 403, openAi('Key limit exceeded (monthly limit).', 403), 'money'],
  [
    'Alibaba',
    400,
    { code: 'Arrearage', message: 'Access denied, please make sure your account is in good standing.' },
    'money',
  ],
  // Credentials.
  [
    'Fireworks',
    412,
    {
      error: {
        type: 'invalid_request_error',
        message: 'Account acme is suspended, possibly due to reaching the monthly spending limit.',
      },
    },
    'credentials',
  ],
  ['OpenAI', 401, openAi('Incorrect API key provided: sk-c***.', 'invalid_api_key'), 'credentials'],
  [
    'Azure',
    401,
    { statusCode: 401, message: 'Access denied due to invalid subscription key.' },
    'credentials',
  ],
  [
    'Google',
    400,
    [
      {
        error: {
          code: 400,
          message: 'API key not valid. Please pass a valid API key.',
          status: 'INVALID_ARGUMENT',
        },
      },
    ],
    'credentials',
  ],
  [
    'xAI',
    400,
    { code: 'Client specified an invalid argument', error: 'Incorrect API key provided: xx.' },
    'credentials',
  ],
  [
    'OpenAI, a region',
    403,
    openAi(
      'Country, region, or territory not supported',
      'unsupported_country_region_territory',
      'request_forbidden',
    ),
    'credentials',
  ],
  [
    'OpenAI, an account',
    403,
    openAi('Your organization has been disabled for violating our policies.', 'account_deactivated'),
    'credentials',
  ],
  [
    'OpenAI, unverified',
    403,
    openAi('Your organization must be verified to stream this model.'),
    'credentials',
  ],
  ['a gateway without JSON', 401, 'Unauthorized', 'credentials'],
  // The address.
  ['FastAPI', 404, { detail: 'Not Found' }, 'address'],
  [
    'OpenAI',
    404,
    openAi('Unknown request URL: POST /responses. Please check the URL for typos.', 'unknown_url'),
    'address',
  ],
  ['Azure', 404, { error: { code: '404', message: 'Resource not found' } }, 'address'],
  ['Express', 404, '<!DOCTYPE html><html><body><pre>Cannot POST /responses</pre></body></html>', 'address'],
  ['nginx, a 403', 403, '<html><head><title>403 Forbidden</title></head></html>', 'address'],
  [
    'nginx, plain on TLS',
    400,
    '<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>',
    'address',
  ],
  ['Go, plain on TLS', 400, 'Client sent an HTTP request to an HTTPS server.', 'address'],
  ['API Gateway', 403, { message: 'Forbidden' }, 'address'],
  ['a method', 405, { detail: 'Method Not Allowed' }, 'address'],
  ['a redirect', 301, '', 'address'],
  ['LM Studio', 400, { error: 'Unexpected endpoint or method. (POST /responses)' }, 'address'],
  // The weather.
  [
    'OpenAI',
    429,
    openAi(
      'Rate limit reached for o3 in organization org-x on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000.',
      'rate_limit_exceeded',
      'tokens',
    ),
    'weather',
  ],
  ['Cloudflare', 429, '<html><head><title>Too many requests</title></head></html>', 'weather'],
  [
    'Groq',
    498,
    openAi('Flex tier capacity exceeded, please try again later', 'flex_capacity', 'capacity_exceeded'),
    'weather',
  ],
  [
    'Anthropic',
    529,
    { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } },
    'weather',
  ],
  ['nginx', 502, '<html><head><title>502 Bad Gateway</title></head></html>', 'weather'],
  ['a 403 that throttles', 403, openAi('Rate limit exceeded', 'rate_limit_exceeded'), 'weather'],
  // The model.
  [
    'OpenAI',
    404,
    openAi('The model `o3` does not exist or you do not have access to it.', 'model_not_found'),
    'model',
  ],
  [
    'Azure',
    404,
    openAi('The API deployment for this resource does not exist.', 'DeploymentNotFound'),
    'model',
  ],
  [
    'vLLM',
    404,
    {
      object: 'error',
      message: 'The model `o3` does not exist.',
      type: 'NotFoundError',
      param: null,
      code: 404,
    },
    'model',
  ],
  ['LiteLLM', 400, openAi('Invalid model name passed in model=o3. Call `/v1/models`', '400'), 'model'],
  [
    'Groq',
    400,
    openAi('The model `o3` has been decommissioned and is no longer supported.', 'model_decommissioned'),
    'model',
  ],
  ['Ollama', 404, openAi("model 'o3' not found", null, 'api_error'), 'model'],
  [
    'Azure, another operation',
    400,
    {
      error: {
        code: 'OperationNotSupported',
        message: 'The responses operation does not work with the specified model, o3.',
      },
    },
    'model',
  ],
  [
    'OpenAI, another route',
    404,
    {
      error: {
        message: 'This model is only supported in v1/chat/completions and not in v1/responses.',
        type: 'invalid_request_error',
        param: 'model',
        code: null,
      },
    },
    'model',
  ],
  // This job, for now.
  [
    'OpenAI',
    400,
    openAi(
      'Another process is currently operating on this conversation. Please retry in a few seconds.',
      'conversation_locked',
    ),
    'job for now',
  ],
  ['a 409', 409, openAi('Conflict'), 'job for now'],
  // This job.
  [
    'FastAPI',
    422,
    {
      detail: [
        { loc: ['body', 'max_output_tokens'], msg: 'value must be larger than 15', type: 'value_error' },
      ],
    },
    'job',
  ],
  [
    'a field that may be called anything',
    400,
    { error: { message: 'budget exceeded 24000', param: 'thinking', code: 'invalid_value' } },
    'job',
  ],
  [
    'OpenAI, too large',
    429,
    openAi(
      'Request too large for o3 on tokens per min (TPM): Limit 30000, Requested 36278.',
      'rate_limit_exceeded',
      'tokens',
    ),
    'job',
  ],
  [
    'LiteLLM, too large',
    429,
    openAi(
      'litellm.RateLimitError: OpenAIException - Request too large for o3: Limit 30000, Requested 36055.',
    ),
    'job',
  ],
  ['numbers alone', 429, openAi('Rate limit: Limit 6,000, Requested 7,000.'), 'job'],
  ['nginx, too large', 413, '<html><head><title>413 Request Entity Too Large</title></head></html>', 'job'],
  ['OpenRouter, moderation', 403, openAi('Your input was flagged by moderation', 403), 'job'],
  ['an earlier response', 404, openAi("Previous response with id 'resp_1' not found."), 'job'],
  [
    'another name than the model’s',
    404,
    openAi('The model `qwen-nope` does not exist.', 404, 'NotFoundError'),
    'job',
  ],
  [
    'OpenRouter, in the words of a provider',
    400,
    {
      error: {
        message: 'Provider returned error',
        code: 400,
        metadata: { raw: '{"error":{"message":"max_tokens is too large: 999"}}', provider_name: 'OpenAI' },
      },
    },
    'job',
  ],
  ['a tool of the model', 400, openAi('Image input is not supported with model o3'), 'job'],
  [
    'a server of tools',
    424,
    {
      error: {
        message: "Error retrieving tool list from MCP server: 'x'. Http status code: 401 (Unauthorized)",
        type: 'external_connector_error',
        param: 'tools',
        code: 'http_error',
      },
    },
    'job',
  ],
  [
    'a context that is too long',
    400,
    openAi('This model’s maximum context length is 8192 tokens.', 'context_length_exceeded'),
    'job',
  ],
];
