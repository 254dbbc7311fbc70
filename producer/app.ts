import express, { type ErrorRequestHandler, type Express } from 'express';
import type { Config } from '../src/config/environment.ts';
import type { UpstreamAddress } from '../src/config/upstream-address.ts';
import type { Logger } from '../src/process/log.ts';
import type { InstanceQueue } from '../src/queue/instance-queue.ts';
import { type AccessOptions, adminOnly, createAccessControl } from './access/access.ts';
import { createQueueFor } from './access/caller.ts';
import { allowOrigins } from './access/cross-origin.ts';
import { createEventTokens, type EventTokens } from './access/event-tokens.ts';
import { createHeavyCalls, heavyPages } from './access/heavy-calls.ts';
import { createKeyring } from './access/keyring.ts';
import { createOpenStreams } from './access/open-streams.ts';
import { BOARD_PATH, createBoard } from './board/board.ts';
import { createConsole } from './console/console.ts';
import { compressed } from './http/compression.ts';
import { HttpProblem, problemFrom } from './http/http-problem.ts';
import { createJsonBodies } from './http/json-body.ts';
import { serveAt } from './http/links.ts';
import { refuseWebSockets, securityHeaders } from './http/middleware.ts';
import { CLIENT_GONE, mountRoutes } from './http/mounting.ts';
import type { Route } from './http/route.ts';
import { mcpRoute, sendMcpError } from './mcp/mcp-route.ts';
import type { ProducerMetrics } from './metrics/producer-metrics.ts';
import { createDocsPage, DOCS_PATH } from './pages/docs-page.ts';
import { actionRoutes } from './routes/actions.ts';
import { auditRoute } from './routes/audit.ts';
import { bulkRoute } from './routes/bulk.ts';
import { documented } from './routes/docs.ts';
import { healthRoutes } from './routes/health.ts';
import { eventTokenRoute, jobEventsRoute } from './routes/job-events.ts';
import { jobRoutes } from './routes/jobs.ts';
import { metricsRoute } from './routes/metrics.ts';
import { modelStateRoutes } from './routes/models.ts';
import { webhookRoutes } from './routes/openai-webhook.ts';
import { usageRoute } from './routes/usage.ts';
import { CHAT_PATH, refuseStoredChats } from './v1/chat/chat-door.ts';
import { createTokenCounter } from './v1/direct/token-counter.ts';
import { refuseElsewhere } from './v1/elsewhere.ts';
import { OpenAiError } from './v1/openai-error.ts';
import { isOpenAiPath, OPENAI_PATH, openAiRoutes, sendOpenAiError, withRequestId } from './v1/routes.ts';

/**
 * AppSettings are the settings of the HTTP server. They may change: each is read when it is needed, except those
 * of `http` that need a restart.
 */
export type AppSettings = Pick<Config, 'tenants' | 'keys' | 'http'>;

export interface AppOptions {
  queue: InstanceQueue;
  settings: AppSettings;
  /** The address on which the producer listens. */
  host: string;
  /** Verifies OpenAI's webhooks; undefined: they are refused. */
  webhookSecret: string | undefined;
  /** Aborts when the producer is about to stop. */
  draining: AbortSignal;
  /**
   * How long a held call of `/v1` may take before the headers of its answer are sent, in milliseconds. After
   * the headers, a failure can no longer be an HTTP error. Default: what the door of the call says.
   */
  headersMs?: number;
  /** See MountOptions. */
  keepAliveMs?: number;
  /** Where the calls of `/v1` go that cannot be jobs. Default: they are refused. */
  upstream?: UpstreamAddress;
  /** Says in sentences for `/readyz` what is wrong with the process itself. Default: nothing. */
  troubles?: () => string[];
  metrics: Pick<ProducerMetrics, 'text' | 'contentType' | 'streamOpened'>;
  logger: Logger;
}

const JOBS_PATH = '/jobs';
/** The pages of the console that walk many jobs, or read what many of them have cost. */
const HEAVY_PAGES = ['jobs', 'selection', 'failures', 'cost', 'audit', 'tenants'].map(
  (page) => `/console/${page}`,
);

export interface RoutesOptions extends Omit<AppOptions, 'settings' | 'host'> {
  /** The path under which browsers reach the instance; see `serveAt`. Default: the top of the host. */
  basePath?: string;
  /** undefined: no keys are needed, and so no tokens. */
  eventTokens: EventTokens | undefined;
}

/**
 * routesOf lists the routes of the API document. The document leaves out the pages: the board, the
 * documentation and the login.
 */
export function routesOf({
  queue,
  webhookSecret,
  draining,
  headersMs,
  upstream,
  basePath = '',
  eventTokens,
  troubles = () => [],
  metrics,
  logger,
}: RoutesOptions): Route[] {
  const routes = [
    ...healthRoutes(queue, draining, troubles),
    // These routes come before the routes of one job, which would take `bulk` for an id.
    bulkRoute(),
    ...actionRoutes(),
    ...jobRoutes(draining, createTokenCounter(upstream, draining)),
    jobEventsRoute(draining),
    eventTokenRoute(eventTokens),
    usageRoute(),
    auditRoute(),
    ...modelStateRoutes(queue, logger),
    metricsRoute(metrics),
    ...openAiRoutes(
      queue.queues.map(({ model }) => model),
      headersMs,
      { upstream, draining, logger },
    ),
    ...webhookRoutes(queue, webhookSecret, logger),
    mcpRoute(queue, draining, logger),
  ];
  return documented(routes, basePath);
}

/** createApp makes the HTTP server of the queue: a table of routes, the pages, and one handler of errors. */
export function createApp({ settings, host, ...options }: AppOptions): Express {
  const { queue, logger } = options;
  const { trustProxy, maxBodyMb } = settings.http;
  const basePath = settings.http.basePath.replace(/\/$/, '');
  const app = express();
  app.disable('x-powered-by');
  if (trustProxy.length > 0) app.set('trust proxy', [...trustProxy]);
  serveAt(app, basePath);
  app.use(securityHeaders());
  app.use(refuseWebSockets);
  app.use(OPENAI_PATH, withRequestId);
  app.use([JOBS_PATH, OPENAI_PATH], allowOrigins(settings));

  const keyring = createKeyring(settings);
  const eventTokens = createEventTokens(keyring);
  const hasKeys = settings.keys.length > 0;
  const routes = routesOf({ ...options, basePath, eventTokens: hasKeys ? eventTokens : undefined });
  const queueFor = createQueueFor(queue);
  const openStreams = createOpenStreams(settings, keyring, options.draining);
  const heavy = createHeavyCalls();
  const json = createJsonBodies({ mostBytes: maxBodyMb * 1024 ** 2 });
  const mount = (some: readonly Route[]): void =>
    mountRoutes(app, some, {
      ...{ json, queueFor, openStreams, heavy, keepAliveMs: options.keepAliveMs },
      onStream: options.metrics.streamOpened,
    });
  mount(routes.filter(({ open }) => open === true));
  // The routes below need access. The caller is authenticated before any body is read.
  app.use(
    createAccessControl({
      settings,
      host,
      basePath,
      keyring,
      eventTokens,
      onLogin: recordLogin(queue),
      logger,
    }),
  );

  app.use(CHAT_PATH, refuseStoredChats);
  mount(routes.filter(({ open }) => open !== true));

  // The routes above compress only what is long. The rest are pages, their data and their files.
  app.use(compressed);
  app.use(BOARD_PATH, adminOnly);
  // While Redis is away the board must fail at once, instead of waiting for each of its Redis commands.
  app.use(`${BOARD_PATH}/api`, (_request, _response, next) => void queue.ping().then(() => next(), next));
  app.use(BOARD_PATH, createBoard(queue, { basePath, hasLogin: hasKeys }));
  app.use(HEAVY_PAGES, heavyPages(heavy));
  app.use(createConsole(queue, queueFor, logger));
  app.use(DOCS_PATH, createDocsPage(basePath));
  app.use(refuseElsewhere(options.upstream));
  app.use((request) => {
    throw new HttpProblem(
      'route_not_found',
      `There is no route ${request.method} ${request.path.slice(0, 100)}: jobs are at ${basePath}/jobs, the board ` +
        `is at ${basePath}${BOARD_PATH}, the documentation of the API is at ${basePath}${DOCS_PATH}`,
    );
  });
  app.use(answerErrors(logger));
  return app;
}

/**
 * answerErrors explains expected errors to the caller. It writes the details of an unexpected error to the
 * log and does not send them to the caller.
 */
function answerErrors(logger: Logger): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    if (error === CLIENT_GONE) return;
    if (error instanceof OpenAiError) {
      // The headers are sent, and the connection is cut already.
      return response.headersSent ? undefined : sendOpenAiError(error, response);
    }
    const known = problemFrom(error);
    if (known === undefined) {
      // The log gets the stack and not the error: ioredis attaches the whole command to its errors, which may
      // contain a question.
      const stack = error instanceof Error ? error.stack : String(error);
      logger.error({ error: stack, method: request.method, path: request.path }, 'unexpected error');
    }
    if (response.headersSent) return next(error);
    const problem =
      known ??
      new HttpProblem(
        'internal_error',
        'An unexpected error happened; the log of the producer has its details',
      );
    if (isOpenAiPath(request.path)) return sendOpenAiError(problem, response);
    if (sendMcpError(request.path, problem, response)) return;
    response
      .set(problem.headers)
      .status(problem.status)
      .type('application/problem+json')
      .send(JSON.stringify(problem));
  };
}

function recordLogin(queue: InstanceQueue): AccessOptions['onLogin'] {
  return ({ tenant }) => queue.record({ by: tenant, what: 'login', subject: tenant, outcome: 'logged in' });
}
