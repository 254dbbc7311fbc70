import express, {
  type ErrorRequestHandler,
  type Express,
  type Request,
  type RequestHandler,
  type Response,
} from 'express';
import type { Logger } from '../src/log.ts';
import type { O3Queue } from '../src/queue/o3-queue.ts';
import { createBoard } from './board.ts';
import { healthRoutes } from './health-routes.ts';
import { jobRoutes } from './job-routes.ts';
import { webhookRoutes } from './openai-webhook.ts';
import { HttpProblem, problemFrom } from './problem.ts';
import type { Reply, Route } from './route.ts';

export interface AppOptions {
  queue: O3Queue;
  /** undefined: OpenAI's webhooks are refused. */
  webhookSecret: string | undefined;
  /** Aborts when the producer is about to stop. */
  draining: AbortSignal;
  logger: Logger;
}

const BOARD_PATH = '/board';

/** The HTTP face of the queue: a table of routes, the board, and one place that answers errors. */
export function createApp({ queue, webhookSecret, draining, logger }: AppOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.use((_request, response, next) => {
    response.setHeader('x-content-type-options', 'nosniff');
    next();
  });
  // Without this the board would wait for each of its Redis commands in vain.
  app.use(`${BOARD_PATH}/api`, (_request, _response, next) => void queue.ping().then(() => next(), next));
  app.use(BOARD_PATH, createBoard(queue.queues, BOARD_PATH));
  app.get('/', (_request, response) => response.redirect(BOARD_PATH));

  const routes = [
    ...healthRoutes(queue, draining),
    ...jobRoutes(draining),
    ...webhookRoutes(queue, webhookSecret, logger),
  ];
  for (const { method, path, rawBodyLimit: limit } of routes) {
    if (limit !== undefined) app[method](path, express.raw({ type: () => true, limit }));
  }
  // `strict` would call a lone `null` malformed JSON; what it lacks is the form of a request.
  app.use(express.json({ limit: '10mb', strict: false }));
  for (const path of new Set(routes.map((route) => route.path))) {
    const here = routes.filter((route) => route.path === path);
    for (const route of here) app[route.method](path, handlerOf(route, queue));
    app.all(path, methodNotAllowed(here));
  }
  app.use((request) => {
    throw new HttpProblem(
      'route_not_found',
      `There is no ${request.method} ${request.path.slice(0, 100)} here; jobs are at /jobs, the board is at ${BOARD_PATH}`,
    );
  });
  app.use(answerErrors(logger));
  return app;
}

function handlerOf(route: Route, queue: O3Queue): RequestHandler {
  return async (request, response) => {
    const gone = new AbortController();
    response.on('close', () => gone.abort(new ClientGone()));
    const { params, query, headers, body } = request;
    const reply = await route.handle({
      params: params as Record<string, string>,
      query,
      headers,
      body,
      signal: gone.signal,
      queue,
    });
    send(reply, response);
  };
}

function send({ status, headers, body, json }: Reply, response: Response): void {
  if (headers !== undefined) response.set(headers);
  response.status(status);
  // Past Express, which would hash megabytes for an ETag.
  if (json !== undefined) response.type('json').set('content-length', String(json.length)).end(json);
  else if (body === undefined) response.end();
  else response.json(body);
}

function methodNotAllowed(routes: readonly Route[]): RequestHandler {
  const methods = routes.map(({ method }) => method.toUpperCase());
  const allowed = [...methods, ...(methods.includes('GET') ? ['HEAD'] : [])].join(', ');
  return (request: Request) => {
    throw new HttpProblem(
      'method_not_allowed',
      `${request.path.slice(0, 100)} was expected to be called with ${allowed}, not ${request.method}`,
      {
        headers: { allow: allowed },
      },
    );
  };
}

/** The client closed its connection: there is nobody to answer, and nothing went wrong. */
class ClientGone extends Error {
  override readonly name = 'ClientGone';
}

/** Expected errors explain themselves; unexpected ones are opaque outside and loud inside. */
function answerErrors(logger: Logger): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    if (error instanceof ClientGone) return;
    const known = problemFrom(error);
    if (known === undefined) {
      // The stack, not the error: ioredis hangs the whole command on its errors, and with it somebody's question.
      const stack = error instanceof Error ? error.stack : String(error);
      logger.error({ error: stack, method: request.method, path: request.path }, 'unexpected error');
    }
    if (response.headersSent) return next(error);
    const problem =
      known ??
      new HttpProblem('internal_error', 'Something unexpected happened; the log of the producer tells more');
    response
      .set(problem.headers)
      .status(problem.status)
      .type('application/problem+json')
      .send(JSON.stringify(problem));
  };
}
