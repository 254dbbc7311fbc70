import type { RequestHandler } from 'express';
import { createChatCompletion } from '../../openapi/operations/chat.ts';
import type { Door } from '../door.ts';
import { OpenAiError } from '../openai-error.ts';
import { chatCompletionOf } from './chat-completion.ts';
import { chatFailureOf } from './chat-failure.ts';
import { chatRequestFrom } from './chat-request.ts';
import { chatWriter } from './chat-stream.ts';

export const CHAT_PATH = '/v1/chat/completions';

/**
 * A failure can be told only by an HTTP status: OpenAI's SDKs throw a TypeError at a 200 without an answer.
 * So the status is sent late, but before the SDK for Node sends the request again, which is after 300 s
 * without headers.
 */
const HEADERS_MS = 240_000;

/**
 * A failed job is an HTTP error, which some clients send again although `x-should-retry` says no: the AI SDK
 * twice, within 7 s, and LangChain six times, within 126 s. Each time would be a purchase of the same
 * failure.
 */
const FAILURE_MS = 180_000;

/**
 * An upstream refuses within this time, in milliseconds, and the refusal is then an HTTP error, as OpenAI's.
 * After it the first chunk shows the caller and proxies that all is well, and what fails is an error in the
 * stream.
 */
const FIRST_WORD_MS = 2000;

/** chatDoor is `POST /v1/chat/completions`: a Responses job in the words of Chat Completions. */
export function chatDoor(): Door {
  return {
    path: CHAT_PATH,
    operation: createChatCompletion,
    headersMs: HEADERS_MS,
    failureMs: FAILURE_MS,
    read(chat) {
      const { body, isStreamed, includesUsage } = chatRequestFrom(chat);
      return {
        body,
        isStreamed,
        isHeld: true,
        firstWordMs: FIRST_WORD_MS,
        refuse(ended) {
          if (ended.response === undefined) throw chatFailureOf(ended);
        },
        whole(ended) {
          if (ended.response === undefined) throw chatFailureOf(ended);
          return chatCompletionOf(ended.job, ended.response);
        },
        writer: (asked) => chatWriter(asked, includesUsage),
      };
    },
  };
}

/**
 * refuseStoredChats answers the routes on which OpenAI keeps chat completions: the queue keeps a chat as a
 * response.
 */
export const refuseStoredChats: RequestHandler = (request, _response, next) => {
  if (request.path === '/' && request.method !== 'GET') return next();
  throw new OpenAiError(404, {
    message:
      'Stored chat completions are not kept here. A chat completion is a response: for the id chatcmpl-X get ' +
      '/v1/responses/resp_X.',
    code: 'route_not_found',
  });
};
