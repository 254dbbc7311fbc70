import { randomUUID } from 'node:crypto';
import type { RequestHandler, Response } from 'express';
import type { HttpProblem } from '../http/http-problem.ts';
import type { Route } from '../http/route.ts';
import { chatDoor } from './chat/chat-door.ts';
import { createRoute } from './create-route.ts';
import { type DirectOptions, directRoutes } from './direct/direct-routes.ts';
import { modelRoutes } from './model-routes.ts';
import { OpenAiError, openAiErrorFrom } from './openai-error.ts';
import { lookupRoutes } from './responses/lookup-routes.ts';
import { responsesDoor } from './responses/responses-door.ts';
import { createUndelivered } from './undelivered.ts';

export const OPENAI_PATH = '/v1';

/**
 * openAiRoutes are OpenAI's own routes: code for one of its SDKs needs only another base URL to get durable
 * jobs.
 */
export function openAiRoutes(
  models: readonly string[],
  headersMs: number | undefined,
  direct: DirectOptions,
): Route[] {
  const { draining } = direct;
  const options = { headersMs, undelivered: createUndelivered(draining), draining };
  const doors = [responsesDoor(), chatDoor()].map((door) => createRoute(door, options));
  // The direct routes come before those of one response, which would take `compact` for an id.
  return [...doors, ...directRoutes(direct), ...lookupRoutes(), ...modelRoutes(models)];
}

/** withRequestId adds the request id that OpenAI's SDKs include in every error. */
export const withRequestId: RequestHandler = (_request, response, next) => {
  response.setHeader('x-request-id', `req_${randomUUID().replaceAll('-', '')}`);
  next();
};

export function isOpenAiPath(path: string): boolean {
  return path === OPENAI_PATH || path.startsWith(`${OPENAI_PATH}/`);
}

export function sendOpenAiError(error: OpenAiError | HttpProblem, response: Response): void {
  const { status, headers, ...rest } = error instanceof OpenAiError ? error : openAiErrorFrom(error);
  response
    .set(headers)
    .status(status)
    .type('application/json')
    .send(JSON.stringify({ error: rest.envelope }));
}
