import type { RequestHandler } from 'express';
import type { UpstreamAddress } from '../../src/config/upstream-address.ts';
import { baseUrlOf } from './direct/upstream-call.ts';
import { OpenAiError } from './openai-error.ts';

/** The first parts of the paths of OpenAI's API, for callers whose base URL lacks `/v1`. */
const OPENAI_ROUTES = new Set([
  ...['responses', 'chat', 'completions', 'embeddings', 'files', 'uploads', 'batches', 'images', 'audio'],
  ...['moderations', 'conversations', 'vector_stores', 'assistants', 'threads', 'realtime', 'fine_tuning'],
  ...['evals', 'containers', 'videos', 'prompts', 'engines'],
]);
const SERVED = '/v1/responses, /v1/chat/completions and /v1/models';

/**
 * refuseElsewhere answers requests for routes of OpenAI's that are not here: those under `/v1`, and those
 * whose base URL lacks `/v1` or has it twice. OpenAI's SDKs show a message only if it is in OpenAI's
 * envelope.
 *
 * @param upstream undefined: this producer does not know the upstream.
 */
export function refuseElsewhere(upstream: UpstreamAddress | undefined): RequestHandler {
  return ({ method, path }, _response, next) => {
    const shown = path.slice(0, 100);
    const [, first = '', second = ''] = path.split('/');
    if (first === 'v1' && second === 'v1') {
      const once = shown.slice('/v1'.length);
      throw notHere(`${shown} has /v1 twice: the base URL ends in /v1 once, and this route is ${once}.`);
    }
    if (first === 'v1') {
      const server =
        upstream === undefined ? 'OpenAI, or the server of OPENAI_BASE_URL' : baseUrlOf(upstream);
      throw notHere(
        `The queue has no route ${method} ${shown}: it serves ${SERVED}. Ask the upstream directly (${server}).`,
      );
    }
    if (!OPENAI_ROUTES.has(first)) return next();
    throw notHere(
      `There is no route ${method} ${shown}: OpenAI's routes are under /v1 here. Let the base URL end in /v1.`,
    );
  };
}

function notHere(message: string): OpenAiError {
  return new OpenAiError(404, { message, code: 'route_not_found' });
}
