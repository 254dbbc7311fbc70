import { describeType } from './json.ts';

/** ReplyHeaders are the headers of one reply, beside those that every reply has. */
export type ReplyHeaders = Readonly<Record<string, string>>;

/** ErrorBody is OpenAI's error envelope. All four keys are always there; `param` and `code` may be null. */
export type ErrorBody = {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
};

/**
 * ApiError is an HTTP error of the API. It is not the `error` of a response, which is part of a 200 answer.
 */
export class ApiError extends Error {
  readonly status: number;
  readonly body: ErrorBody;
  readonly headers: ReplyHeaders;

  constructor(status: number, body: ErrorBody, headers: ReplyHeaders = {}) {
    super(body.message);
    this.name = 'ApiError';
    this.status = status;
    this.body = body;
    this.headers = headers;
  }
}

type ErrorDetails = { readonly param?: string; readonly code?: string };

export function badRequest(message: string, details: ErrorDetails = {}): ApiError {
  return invalidRequest(400, message, details);
}

export function notFound(message: string, details: ErrorDetails = {}): ApiError {
  return invalidRequest(404, message, details);
}

export function unauthorized(message: string, details: ErrorDetails = {}): ApiError {
  return invalidRequest(401, message, details);
}

export function tooLarge(limitBytes: number): ApiError {
  return invalidRequest(
    413,
    `Request body is too large: the simulator takes at most ${limitBytes} bytes.`,
    {},
  );
}

export function responseNotFound(id: string): ApiError {
  return notFound(`Response with id '${id}' not found.`);
}

export function unknownUrl(method: string, path: string): ApiError {
  return notFound(`Unknown request URL: ${method} ${path}. Please check the URL for typos.`, {
    code: 'unknown_url',
  });
}

export function missingParameter(param: string): ApiError {
  return badRequest(`Missing required parameter: '${param}'.`, { param, code: 'missing_required_parameter' });
}

export function invalidType(param: string, expected: string, value: unknown): ApiError {
  return badRequest(
    `Invalid type for '${param}': expected ${expected}, but got ${describeType(value)} instead.`,
    { param, code: 'invalid_type' },
  );
}

export function invalidValue(param: string, value: string, allowed: readonly string[]): ApiError {
  const names = allowed.map((name) => `'${name}'`).join(', ');
  return badRequest(`Invalid value: '${value}'. Supported values are: ${names}.`, {
    param,
    code: 'invalid_value',
  });
}

function invalidRequest(status: number, message: string, { param, code }: ErrorDetails): ApiError {
  return new ApiError(status, {
    message,
    type: 'invalid_request_error',
    param: param ?? null,
    code: code ?? null,
  });
}
