import { checkedInput } from '../../src/errors/input.ts';
import { ACTION_KINDS, type ActionKind } from '../../src/job/action.ts';
import type { Route } from '../http/route.ts';
import {
  getAction,
  listActions,
  selectionBody,
  selectJobs,
  stopAction,
} from '../openapi/operations/actions.ts';
import { noQuery } from './job-queries.ts';
import { refuseOthersJobs, requireJson } from './jobs.ts';

/** actionRoutes act on all jobs of a filter. */
export function actionRoutes(): Route[] {
  return [
    ...ACTION_KINDS.map(selectionRoute),
    {
      method: 'get',
      path: '/actions',
      operation: listActions,
      async handle({ queue, query }) {
        checkedInput('query', query, noQuery);
        return { status: 200, body: { actions: await queue.actions.list() } };
      },
    },
    {
      method: 'get',
      path: '/actions/:action',
      operation: getAction,
      async handle({ queue, params, query }) {
        checkedInput('query', query, noQuery);
        return { status: 200, body: await queue.actions.get(params['action'] ?? '') };
      },
    },
    {
      method: 'post',
      path: '/actions/:action/stop',
      operation: stopAction,
      async handle({ queue, params, query }) {
        checkedInput('query', query, noQuery);
        return { status: 200, body: await queue.actions.stop(params['action'] ?? '') };
      },
    },
  ];
}

function selectionRoute(kind: ActionKind): Route {
  return {
    method: 'post',
    path: `/jobs/${kind}`,
    heavy: true,
    operation: selectJobs(kind),
    async handle({ queue, caller, query, body }) {
      checkedInput('query', query, noQuery);
      const { filter, dry_run: isDry = false } = checkedInput('selection', requireJson(body), selectionBody);
      refuseOthersJobs(caller, filter.tenant);
      if (isDry) return { status: 200, body: await queue.actions.count(kind, filter) };
      const action = await queue.actions.start(kind, filter);
      return { status: 202, headers: { location: `/actions/${action.id}` }, body: action };
    },
  };
}
