import express, { type ErrorRequestHandler, type RequestHandler, type Response, Router } from 'express';
import { parseJobRequest } from '../../src/job/request.ts';
import type { Logger } from '../../src/process/log.ts';
import type { InstanceQueue } from '../../src/queue/instance-queue.ts';
import { isPageVisit } from '../access/authentication.ts';
import { callerOf, type QueueFor } from '../access/caller.ts';
import { sendPage } from '../access/login.ts';
import { problemFrom } from '../http/http-problem.ts';
import { addressOf, basePathOf, redirectTo } from '../http/links.ts';
import { forAdmin, resumeByHand } from '../routes/models.ts';
import { askRoutes } from './ask/ask-routes.ts';
import { type Assets, loadAssets } from './assets.ts';
import { type Document, renderDocument } from './document.tsx';
import { jobPage, pagePathOf } from './job-page.tsx';
import { jobsRoutes } from './jobs/jobs-routes.ts';
import { visitorOf } from './navigation.tsx';
import { nowPage } from './now/now-page.tsx';
import { createNowReader } from './now/now-state.ts';
import { problemPage } from './problem-page.tsx';
import { isMissingJob, missingJobPage } from './reports/job-acts.tsx';
import { reportRoutes } from './reports/report-routes.ts';

const CONSOLE_PATH = '/console';

/**
 * createConsole serves the pages for people: `/`, and everything below `/console`. They can be read without
 * scripts, and their forms work without scripts.
 */
export function createConsole(queue: InstanceQueue, queueFor: QueueFor, logger: Logger): Router {
  const router = Router();
  const models = queue.queues.map(({ model }) => model);
  const pages = Router();
  // The files are read for the first page, since many processes never show one.
  let loaded: Assets | undefined;
  const assets = (response: Response): Assets => {
    loaded ??= loadAssets(addressOf(response, `${CONSOLE_PATH}/assets`));
    return loaded;
  };
  const send = (response: Response, status: number, document: Document): void =>
    sendPage(response, status, renderDocument(document, assets(response), basePathOf(response)));
  const { deliveries } = queue;
  const readNow = createNowReader(queue);
  const nowFor = (response: Response) => readNow(queueFor(response), visitorOf(response).isAdmin);
  router.get('/', async (request, response) => {
    if (!isPageVisit(request)) return response.redirect(addressOf(response, '/jobs'));
    send(response, 200, nowPage(await nowFor(response), visitorOf(response)));
  });
  pages.get('/', (_request, response) => redirectTo(response, '/'));
  pages.get('/now', async (_request, response) => {
    response.set('cache-control', 'no-store').json(await nowFor(response));
  });
  pages.post('/models/:model/resume', async ({ params }, response) => {
    forAdmin(callerOf(response));
    await resumeByHand(queue, params.model, callerOf(response), logger);
    redirectTo(response, '/');
  });
  pages.use('/assets', (request, response, next) => assets(response).router(request, response, next));
  pages.get('/jobs/:id', async ({ params, query }, response) => {
    const [visitor, isPlain] = [visitorOf(response), query['view'] === 'plain'];
    const options = { visitor, models, isPlain, deliveries };
    const queue = queueFor(response);
    try {
      send(response, 200, await jobPage(queue, params.id, options));
    } catch (error: unknown) {
      if (!isMissingJob(error)) throw error;
      send(response, 404, await missingJobPage(queue, params.id, visitor));
    }
  });
  pages.post(
    '/jobs/:id/cancel',
    afterwards((response, id) => queueFor(response).cancel(id)),
  );
  pages.post(
    '/jobs/:id/retry',
    afterwards((response, id) => queueFor(response).retry(id)),
  );
  pages.post('/jobs/:id/delete', async ({ params }, response) => {
    await queueFor(response).delete(params.id);
    redirectTo(response, '/console/jobs');
  });
  pages.post(
    '/jobs/:id/ask-again',
    express.urlencoded({ extended: false, limit: '10kb' }),
    async ({ params, body }, response) => {
      const queue = queueFor(response);
      const { request } = await queue.inspect(params['id'] ?? '');
      const model: unknown = (body as Record<string, unknown> | undefined)?.['model'];
      const { job } = await queue.enqueue(parseJobRequest({ request: { ...request, model } }));
      redirectTo(response, pagePathOf(job.id));
    },
  );
  pages.use(jobsRoutes(queueFor, models, (response, document) => send(response, 200, document)));
  const offered = {
    names: models,
    get suggested() {
      return queue.defaultModel;
    },
  };
  pages.use(askRoutes(queueFor, offered, send));
  pages.use(reportRoutes(queueFor, (response, document) => send(response, 200, document)));
  router.use(CONSOLE_PATH, pages);
  router.use(answerProblems(send));
  return router;
}

/** Does something with a job, and shows its page again. */
function afterwards(act: (response: Response, id: string) => Promise<unknown>): RequestHandler {
  return async ({ params }, response) => {
    const id = String(params['id']);
    await act(response, id);
    redirectTo(response, pagePathOf(id));
  };
}

/** Shows an expected error as a page. Unexpected errors go to the handler of all routes. */
function answerProblems(
  send: (response: Response, status: number, document: Document) => void,
): ErrorRequestHandler {
  return (error: unknown, _request, response, next) => {
    const problem = problemFrom(error);
    if (problem === undefined || response.headersSent) return next(error);
    response.set(problem.headers);
    send(response, problem.status, problemPage(problem, visitorOf(response)));
  };
}
