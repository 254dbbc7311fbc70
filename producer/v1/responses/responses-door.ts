import { createSharedTexts } from '../../http/sse.ts';
import { createResponse } from '../../openapi/operations/v1.ts';
import type { Door } from '../door.ts';
import { refuseLikeUpstream } from '../openai-error.ts';
import { isBackground, responseObject } from './response-object.ts';
import { responseWriter } from './response-stream.ts';

/**
 * OpenAI's SDK for Node sends a request again when no headers have come for 300 s, and proxies give up
 * sooner.
 */
const HEADERS_MS = 30_000;

/** responsesDoor is `POST /v1/responses`: in the background or in the foreground, streamed or not. */
export function responsesDoor(): Door {
  const texts = createSharedTexts();
  return {
    path: '/v1/responses',
    operation: createResponse,
    headersMs: HEADERS_MS,
    // A failed response is an answer with the status 200, so no client sends the call again.
    failureMs: 0,
    read: (body) => ({
      body,
      isStreamed: body['stream'] === true,
      isHeld: !isBackground(body),
      firstWordMs: isBackground(body) ? 0 : HEADERS_MS,
      refuse: refuseLikeUpstream,
      whole: responseObject,
      writer: (asked) => responseWriter(asked, texts),
    }),
  };
}
