import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import type {
  AfterHook,
  AppJob,
  AppQueue,
  BeforeHook,
  BullBoardRequest,
  ControllerHandlerReturnType,
  JobStatus,
  UIConfig,
} from '@bull-board/api/typings/app';
import type { RequestHandler, Router } from 'express';
import { ADMIN } from '../../src/config/api-keys.ts';
import type { ModelView } from '../../src/models/view.ts';
import type { InstanceQueue } from '../../src/queue/instance-queue.ts';
import { DELIVERY_QUEUE, type DeliveryQueue } from '../../src/webhooks/deliveries.ts';
import { LOGIN_PATH } from '../pages/login-page.ts';
import { isCut } from './board-job.ts';
import { BoardQueue } from './queue-adapter.ts';
import { BoardServer } from './server.ts';

export const BOARD_PATH = '/board';

const UI: UIConfig = {
  boardTitle: 'o3-queue',
  hideDocsLink: true,
  // This is off: each poll of a page would read the list of all connections from Redis, once for each queue.
  showWorkers: false,
  // The interval is in seconds. A cancel takes about one second.
  pollingInterval: { forceInterval: 2, showSetting: false },
  theme: themeOf({
    'font-sans': 'Inter, "IBM Plex Sans", system-ui, -apple-system, "Segoe UI", sans-serif',
    'font-mono': '"JetBrains Mono", "IBM Plex Mono", ui-monospace, SFMono-Regular, Menlo, monospace',
  }),
};

export interface BoardOptions {
  /** The path under which browsers reach the instance; see `serveAt`. */
  basePath: string;
  /** Whether a browser logs in to see the board. */
  hasLogin: boolean;
}

/** createBoard makes Bull Board for the queues of all models, and for the queue of the webhooks. */
export function createBoard(queue: InstanceQueue, { basePath, hasLogin }: BoardOptions): Router {
  const miscLinks = hasLogin ? [{ text: 'Log out', url: `${basePath}${LOGIN_PATH}` }] : [];
  const { queues, deliveries } = queue;
  // The board is for admin alone, so what it does is an act of admin.
  const jobs = hasLogin ? queue.as({ tenant: ADMIN, admin: true }) : queue;
  const boardQueues = new Map(queues.map((each) => [each.model, new BoardQueue(each, jobs, basePath)]));
  const server = new BoardServer();
  server.setBasePath(`${basePath}${BOARD_PATH}`);
  // This route comes before Bull Board's own, which would also retry cancelled and completed jobs, and so buy
  // them again.
  server.router.put('/api/queues/:queueName/retry/:queueStatus', retryAll(boardQueues));
  createBullBoard({
    // Sorted by name, as the board's other list always is.
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

/** inOurWords replaces BullMQ's view of each job by ours in the answers of the board's API. */
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

/** descriptionOf says why a model is held up and when it is shut down; '' when there is nothing to say. */
function descriptionOf({ upstream_model: name, state: { reason, shutdown_date: date } }: ModelView): string {
  const end = date === null ? [] : [`the upstream shuts ${name} down on ${date}`];
  return [...(reason === null ? [] : [reason]), ...end].join(' · ');
}

/**
 * isLatest recognizes the board's list of latest jobs. The board sorts that list by status, so that ten
 * waiting jobs would hide all others.
 */
function isLatest({ query }: BullBoardRequest): boolean {
  return query['status'] === undefined || query['status'] === 'latest';
}

function newestFirst(one: AppJob, other: AppJob): number {
  return other.timestamp - one.timestamp;
}

/** refuseCutData stops the board from saving or duplicating a long text that it shows only in part. */
const refuseCutData: BeforeHook = ({ method, request }) => {
  if (method === 'get' || !isCut(request.body)) return;
  return {
    allow: false,
    status: 400,
    message:
      'The board shows only a part of this text, and saving it would lose the rest: use POST /jobs ' +
      'instead',
  };
};

/**
 * BoardDeliveries shows the queue of webhooks to callers, unchanged from BullMQ. A retry sends the same bytes
 * again.
 */
class BoardDeliveries extends BullMQAdapter {
  constructor(deliveries: DeliveryQueue) {
    super(deliveries, { description: 'Webhooks to the webhook_url of finished jobs' });
  }

  /** Returns the name without the braces that BullMQ's name has for Redis Cluster. */
  override getName(): string {
    return DELIVERY_QUEUE;
  }

  override getJobStatuses(): JobStatus[] {
    return ['active', 'waiting', 'prioritized', 'completed', 'failed', 'delayed'];
  }
}

function themeOf(
  tokens: NonNullable<NonNullable<UIConfig['theme']>['light']>,
): NonNullable<UIConfig['theme']> {
  return { light: tokens, dark: tokens };
}
