import express, { type ErrorRequestHandler, type RequestHandler, type Response, Router } from 'express';
import { parseJobRequest } from '../../src/job/request.ts';
import { callerOf, type QueueFor } from '../access/caller.ts';
import { sendPage } from '../access/login.ts';
import { problemFrom } from '../http/http-problem.ts';
import { type Assets, loadAssets } from './assets.ts';
import { type Document, renderDocument, type Visitor } from './document.tsx';
import { jobPage, pagePathOf } from './job-page.tsx';
import { problemPage } from './problem-page.tsx';

export const CONSOLE_PATH = '/console';

/**
 * createConsole serves the pages for people. They can be read without scripts, and their forms work without
 * scripts.
 *
 * @param models the configured models.
 */
export function createConsole(queueFor: QueueFor, models: readonly string[]): Router {
  const router = Router();
  // The files are read for the first page, since many processes never show one.
  let loaded: Assets | undefined;
  const assets = (): Assets => {
    loaded ??= loadAssets(`${CONSOLE_PATH}/assets`);
    return loaded;
  };
  const send = (response: Response, status: number, document: Document): void =>
    sendPage(response, status, renderDocument(document, assets()));
  router.use('/assets', (request, response, next) => assets().router(request, response, next));
  router.get('/jobs/:id', async ({ params, query }, response) => {
    const options = { visitor: visitorOf(response), models, isPlain: query['view'] === 'plain' };
    send(response, 200, await jobPage(queueFor(response), params.id, options));
  });
  router.post(
    '/jobs/:id/cancel',
    afterwards((response, id) => queueFor(response).cancel(id)),
  );
  router.post(
    '/jobs/:id/retry',
    afterwards((response, id) => queueFor(response).retry(id)),
  );
  router.post('/jobs/:id/delete', async ({ params }, response) => {
    await queueFor(response).delete(params.id);
    response.redirect(303, '/');
  });
  router.post(
    '/jobs/:id/ask-again',
    express.urlencoded({ extended: false, limit: '10kb' }),
    async ({ params, body }, response) => {
      const queue = queueFor(response);
      const { request } = await queue.inspect(params['id'] ?? '');
      const model: unknown = (body as Record<string, unknown> | undefined)?.['model'];
      const { job } = await queue.enqueue(parseJobRequest({ request: { ...request, model } }));
      response.redirect(303, pagePathOf(job.id));
    },
  );
  router.use(answerProblems(send));
  return router;
}

/** Does something with a job, and shows its page again. */
function afterwards(act: (response: Response, id: string) => Promise<unknown>): RequestHandler {
  return async ({ params }, response) => {
    const id = String(params['id']);
    await act(response, id);
    response.redirect(303, pagePathOf(id));
  };
}

function visitorOf(response: Response): Visitor {
  const caller = callerOf(response);
  return { tenant: caller?.tenant, isAdmin: caller?.admin ?? true };
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
