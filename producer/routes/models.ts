import { checkedInput } from '../../src/errors/input.ts';
import type { Caller } from '../../src/job/tenant.ts';
import type { ResumedModel } from '../../src/models/view.ts';
import type { Logger } from '../../src/process/log.ts';
import type { InstanceQueue } from '../../src/queue/instance-queue.ts';
import { HttpProblem } from '../http/http-problem.ts';
import type { Route } from '../http/route.ts';
import { getScaling, listConfiguredModels, resumeModel } from '../openapi/operations/models.ts';
import { noQuery } from './job-queries.ts';

/**
 * modelStateRoutes show the state of the models and end their pauses. They are for admin: they concern all
 * tenants.
 */
export function modelStateRoutes(queue: InstanceQueue, logger: Logger): Route[] {
  return [
    {
      method: 'get',
      path: '/models',
      operation: listConfiguredModels,
      async handle({ caller, query }) {
        forAdmin(caller);
        checkedInput('query', query, noQuery);
        return { status: 200, body: { models: await queue.models() } };
      },
    },
    {
      method: 'get',
      path: '/scaling',
      operation: getScaling,
      async handle({ caller, query }) {
        forAdmin(caller);
        checkedInput('query', query, noQuery);
        return { status: 200, body: await queue.scaling() };
      },
    },
    {
      method: 'post',
      path: '/models/:model/resume',
      operation: resumeModel,
      async handle({ caller, params, query }) {
        forAdmin(caller);
        checkedInput('query', query, noQuery);
        return { status: 200, body: await resumeByHand(queue, params['model'] ?? '', caller, logger) };
      },
    },
  ];
}

/** resumeByHand ends the pause of a model, and logs which caller did it. */
export async function resumeByHand(
  queue: InstanceQueue,
  model: string,
  caller: Caller | undefined,
  logger: Logger,
): Promise<ResumedModel> {
  const resumed = await queue.resume(model);
  const outcome = resumed.resumed ? 'resumed' : 'was not paused';
  queue.record({ by: caller?.tenant ?? null, what: 'model.resume', subject: resumed.model, outcome });
  logger.info(
    { ...resumed, by: caller?.tenant },
    resumed.resumed ? 'resumed by hand' : 'asked to resume, but not paused',
  );
  return resumed;
}

/**
 * forAdmin refuses the callers that may not see what concerns all tenants.
 *
 * @throws {HttpProblem} `forbidden`
 */
export function forAdmin(caller: Caller | undefined, what = 'the state of the models'): void {
  if (caller === undefined || caller.admin) return;
  throw new HttpProblem(
    'forbidden',
    `Expected the key of admin for ${what}, got the key of ${caller.tenant}; the names ` +
      'of the models are at /v1/models',
  );
}
