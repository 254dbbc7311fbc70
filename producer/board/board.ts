import { createBullBoard } from '@bull-board/api';
import type {
  AfterHook,
  AppJob,
  AppQueue,
  BeforeHook,
  BullBoardRequest,
  ControllerHandlerReturnType,
  UIConfig,
} from '@bull-board/api/typings/app';
import type { RequestHandler, Router } from 'express';
import type { ModelView } from '../../src/models/view.ts';
import type { InstanceQueue } from '../../src/queue/instance-queue.ts';
import { isCut } from './board-job.ts';
import { BoardDeliveries } from './deliveries.ts';
import { BoardQueue } from './queue-adapter.ts';
import { BoardServer } from './server.ts';

const UI: UIConfig = {
  boardTitle: 'o3-queue',
  hideDocsLink: true,
  // Redis' list of all connections, for each queue and each time that a page asks.
  showWorkers: false,
  // Seconds. A cancel takes one, and somebody is looking.
  pollingInterval: { forceInterval: 2, showSetting: false },
  theme: themeOf({
    'font-sans': 'Inter, "IBM Plex Sans", system-ui, -apple-system, "Segoe UI", sans-serif',
    'font-mono': '"JetBrains Mono", "IBM Plex Mono", ui-monospace, SFMono-Regular, Menlo, monospace',
  }),
};

export interface BoardOptions {
  /** Where the browser finds it. */
  basePath: string;
  /** Where the browser can log out; undefined: nobody had to log in. */
  logoutPath: string | undefined;
}

/** Bull Board over every model's queue, and that of the webhooks. */
export function createBoard(queue: InstanceQueue, { basePath, logoutPath }: BoardOptions): Router {
  const miscLinks = logoutPath === undefined ? [] : [{ text: 'Log out', url: logoutPath }];
  const { queues, deliveries } = queue;
  const boardQueues = new Map(queues.map((each) => [each.model, new BoardQueue(each, queue)]));
  const server = new BoardServer();
  server.setBasePath(basePath);
  // Before Bull Board's own route, which would buy cancelled jobs again, and completed ones.
  server.router.put('/api/queues/:queueName/retry/:queueStatus', retryAll(boardQueues));
  createBullBoard({
    // By name, as the board's other list has them whatever their order here.
    queues: [
      ...(deliveries === undefined ? [] : [new BoardDeliveries(deliveries)]),
      ...[...boardQueues.values()].sort((one, other) => one.getName().localeCompare(other.getName())),
    ],
    serverAdapter: server,
    options: {
      uiConfig: { ...UI, miscLinks },
      handlerHooks: { before: refuseCutData, after: inOurWords(boardQueues, () => queue.modelsLately()) },
    },
  });
  return server.router;
}

function retryAll(boardQueues: ReadonlyMap<string, BoardQueue>): RequestHandler {
  return async ({ params }, response, next) => {
    const boardQueue = boardQueues.get(String(params['queueName']));
    if (boardQueue === undefined) return next();
    const status = params['queueStatus'];
    if (status === 'failed') response.json(await boardQueue.retryFailed());
    else response.status(400).json({ error: { key: 'ERRORS.STATUS_NOT_RETRIABLE', options: { status } } });
  };
}

/** Puts our view of each job in place of BullMQ's, wherever the board is told of one. */
function inOurWords(
  boardQueues: ReadonlyMap<string, BoardQueue>,
  models: () => Promise<ModelView[]>,
): AfterHook {
  return async ({ method, route, request }, result): Promise<ControllerHandlerReturnType> => {
    if (method !== 'get' || (result.status ?? 200) !== 200) return result;
    if (route === '/api/queues') {
      const { queues } = result.body as { queues: AppQueue[] };
      const views = await models();
      const ours = queues.map(async (queue) => {
        const boardQueue = boardQueues.get(queue.name);
        if (boardQueue === undefined) return queue;
        const jobs = await Promise.all(queue.jobs.map((job) => boardQueue.listed(job)));
        const view = views.find(({ model }) => model === queue.name);
        const description = view === undefined ? '' : descriptionOf(view);
        return {
          ...queue,
          ...(description !== '' && { description }),
          jobs: isLatest(request) ? jobs.sort(newestFirst) : jobs,
        };
      });
      return { ...result, body: { queues: await Promise.all(ours) } };
    }
    if (route === '/api/queues/:queueName/:jobId') {
      const { job, status } = result.body as { job: AppJob; status: string };
      const boardQueue = boardQueues.get(String(request.params['queueName']));
      return { ...result, body: { job: (await boardQueue?.shown(job)) ?? job, status } };
    }
    return result;
  };
}

/** What a person who looks at a model's queue should know of the model. '': nothing. */
function descriptionOf({ upstream_model: name, state: { reason, shutdown_date: date } }: ModelView): string {
  const end = date === null ? [] : [`the upstream shuts ${name} down on ${date}`];
  return [...(reason === null ? [] : [reason]), ...end].join(' · ');
}

/** The board calls these its latest jobs, but lines them up by status: behind ten waiting ones nobody sees the rest. */
function isLatest({ query }: BullBoardRequest): boolean {
  return query['status'] === undefined || query['status'] === 'latest';
}

function newestFirst(one: AppJob, other: AppJob): number {
  return other.timestamp - one.timestamp;
}

/** The board edits and duplicates what it shows, which is not all of a long text. */
const refuseCutData: BeforeHook = ({ method, request }) => {
  if (method === 'get' || !isCut(request.body)) return;
  return {
    allow: false,
    status: 400,
    message: 'This text was cut to be shown here; saving it would lose the rest. Use POST /jobs instead',
  };
};

function themeOf(
  tokens: NonNullable<NonNullable<UIConfig['theme']>['light']>,
): NonNullable<UIConfig['theme']> {
  return { light: tokens, dark: tokens };
}
