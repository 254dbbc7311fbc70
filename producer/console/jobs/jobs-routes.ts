import express, { type Response, Router } from 'express';
import { QueueError } from '../../../src/errors/problem.ts';
import { ACTION_KINDS, type ActionKind } from '../../../src/job/action.ts';
import type { TenantQueue } from '../../../src/queue/tenant-queue.ts';
import { callerOf, type QueueFor } from '../../access/caller.ts';
import { HttpProblem } from '../../http/http-problem.ts';
import { redirectTo } from '../../http/links.ts';
import { refuseOthersJobs } from '../../routes/jobs.ts';
import type { Document } from '../document.tsx';
import { visitorOf } from '../navigation.tsx';
import { actionPage, type Outcome, outcomesPage, questionPage } from './action-pages.tsx';
import { pageQueryFrom } from './job-filter.ts';
import { jobsPage } from './jobs-page.tsx';

const PER_PAGE = 50;
/** The most jobs that may be checked: as many as the largest page of the API. */
const MOST_CHECKED = 100;

/** jobsRoutes serves the page of jobs, the questions before something is done with many, and actions. */
export function jobsRoutes(
  queueFor: QueueFor,
  models: readonly string[],
  send: (response: Response, document: Document) => void,
): Router {
  const router = Router();
  const form = express.urlencoded({ extended: false, limit: '50kb' });
  router.get('/jobs', async ({ query }, response) => {
    const asked = pageQueryFrom(query);
    refuseOthersJobs(callerOf(response), asked.filter.tenant);
    const { filter, cursor } = asked;
    const page = await queueFor(response).list({ ...filter, cursor, limit: PER_PAGE });
    send(response, jobsPage(page, asked, { visitor: visitorOf(response), models }));
  });
  router.get('/selection', async ({ query }, response) => {
    const { kind, ids, rest } = selectionIn(query);
    const { filter } = pageQueryFrom(rest);
    refuseOthersJobs(callerOf(response), filter.tenant);
    const selection = ids.length > 0 ? undefined : await queueFor(response).actions.count(kind, filter);
    send(response, questionPage({ kind, filter, ids, selection }, visitorOf(response)));
  });
  router.post('/selection', form, async ({ body }, response) => {
    const { kind, ids } = selectionIn(body);
    const outcomes: Outcome[] = [];
    for (const id of ids) outcomes.push(await act(queueFor(response), kind, id));
    send(response, outcomesPage(kind, outcomes, visitorOf(response)));
  });
  router.post('/actions', form, async ({ body }, response) => {
    const { kind, rest } = selectionIn(body);
    const { filter } = pageQueryFrom(rest);
    refuseOthersJobs(callerOf(response), filter.tenant);
    const action = await queueFor(response).actions.start(kind, filter);
    redirectTo(response, `/console/actions/${action.id}`);
  });
  router.get('/actions/:action', async ({ params }, response) => {
    send(response, actionPage(await queueFor(response).actions.get(params.action), visitorOf(response)));
  });
  router.post('/actions/:action/stop', async ({ params }, response) => {
    const { id } = await queueFor(response).actions.stop(params.action);
    redirectTo(response, `/console/actions/${id}`);
  });
  return router;
}

/** Reads what is to be done, and with which jobs, from the fields of a form. */
function selectionIn(fields: unknown): { kind: ActionKind; ids: string[]; rest: Record<string, unknown> } {
  const {
    kind: wanted,
    id = [],
    ...rest
  }: Record<string, unknown> = typeof fields === 'object' && fields !== null ? { ...fields } : {};
  const kind = ACTION_KINDS.find((each) => each === wanted);
  const ids = (Array.isArray(id) ? id : [id]).map(String);
  if (kind === undefined || ids.length > MOST_CHECKED) {
    const message = `Expected a kind of ${ACTION_KINDS.join(', ')}, and at most ${MOST_CHECKED} jobs`;
    throw new HttpProblem('invalid_request', message);
  }
  return { kind, ids, rest };
}

async function act(queue: TenantQueue, kind: ActionKind, id: string): Promise<Outcome> {
  try {
    await queue[kind](id);
    return { id, problem: undefined };
  } catch (error: unknown) {
    if (error instanceof QueueError && error.code !== 'redis_unavailable')
      return { id, problem: error.message };
    throw error;
  }
}
