import type { TimeOptions } from './fields/times.ts';
import type { UpstreamHeaders } from './fields/upstream-headers.ts';

/**
 * JobRequest is what a caller may enqueue: either a `question` in plain words, or `request`, which is any
 * body of OpenAI's Responses API.
 *
 * These types are written out, although the schemas of request.ts imply them, because an editor shows a
 * comment only where the field is declared, and none for a field that zod infers. A test holds each comment
 * equal to the description in `/openapi.json`.
 */
export type JobRequest = QuestionRequest | ResponsesRequest;

/**
 * BulkRequest is a request of a bulk. A request with an `idempotency_key` becomes one job even if it is sent
 * several times, as with `Idempotency-Key`.
 */
export type BulkRequest = JobRequest & {
  /**
   * Works like the header `Idempotency-Key` of `POST /jobs`: 1 to 255 printable ASCII characters with no
   * blank at either end.
   */
  idempotency_key?: string | undefined;
};

/** RequestOptions are the fields that both forms of a request have. */
export interface RequestOptions extends TimeOptions {
  /** A configured model. Default: `defaultModel` of the configuration. */
  model?: string | undefined;
  /** 0 (the default) goes first, larger numbers later. */
  priority?: number | undefined;
  /** How long to wait before the job may start, in milliseconds. Default: 0. */
  delay_ms?: number | undefined;
  /** The largest number of attempts, the first included. Default: the model’s setting. */
  max_attempts?: number | undefined;
  /**
   * The URL that gets a signed webhook with the job’s view when the job has ended. Needs
   * `O3Q_SIGNING_SECRET`.
   */
  webhook_url?: string | undefined;
  /** Whether the answer is streamed from the upstream. Default: true; in a bulk: false. */
  stream?: boolean | undefined;
  /** How long one attempt may take, in milliseconds. Default: the model’s setting. */
  timeout_ms?: number | undefined;
  /**
   * Headers for the upstream, which are sent at every call about this job: when its response is created,
   * looked up, cancelled and deleted.
   */
  upstream_headers?: UpstreamHeaders | undefined;
}

/** QuestionRequest is a request in plain words. */
export interface QuestionRequest extends RequestOptions {
  /** The question, in plain words. */
  question: string;
  /** What the model reads before the question. */
  context?: string | undefined;
  /** How the model should behave. */
  instructions?: string | undefined;
  /** How much the model reasons before it answers. Default: the upstream’s. */
  reasoning_effort?: 'none' | 'minimal' | 'low' | 'medium' | 'high' | 'xhigh' | 'max' | undefined;
  /** The limit of the answer, reasoning included. */
  max_output_tokens?: number | undefined;
  /** Kept with the job and sent to the upstream. */
  metadata?: Record<string, string> | undefined;
}

/** ResponsesRequest is a request that is a body of OpenAI's Responses API. */
export interface ResponsesRequest extends RequestOptions {
  /** Any body of OpenAI’s Responses API. Fields that are not listed go to the upstream untouched. */
  request: ResponsesBody;
}

/** ResponsesBody is a body of the Responses API, of which the queue reads these fields. */
export interface ResponsesBody {
  [field: string]: unknown;
  /** A configured model. `model` beside the body counts first. */
  model?: string | undefined;
  /** A text or a list of items. Needed unless there is a `prompt`. */
  input?: string | unknown[] | undefined;
  /** Whether the answer is streamed from the upstream. `stream` beside the body counts first. */
  stream?: boolean | null | undefined;
  /** Not sent to the upstream: the worker decides whether a response runs in the background. */
  background?: boolean | null | undefined;
  /** Kept with the job and sent to the upstream. */
  metadata?: Record<string, string> | null | undefined;
}
