import { v7 as uuid } from 'uuid';
import { QueueError } from '../errors/problem.ts';
import type { Action, ActionKind, Selection } from '../job/action.ts';
import { NO_TENANT, tenantInView } from '../job/tenant.ts';
import type { SearchFilter } from '../job-store/search.ts';
import { finishActionScript, startActionScript } from '../lua/selections/actions.ts';
import { iso } from '../model-queue/job-view.ts';
import type { QueueAccess } from '../model-queue/queue-access.ts';
import { serverTime } from '../redis/server-time.ts';
import { NANO_PER_DOLLAR } from '../usage/usd.ts';
import { actionKeysOf } from './keys.ts';

/** ActionAccess is what actions need of the queue. */
export type ActionAccess = Pick<QueueAccess, 'redis' | 'prefix' | 'queues' | 'models' | 'onCancelled'>;

/** StoredAction is an action as Redis has it, without how far it has come. */
export interface StoredAction {
  readonly id: string;
  readonly kind: ActionKind;
  readonly filter: SearchFilter;
  /** The tenant that has started it; `NO_TENANT`: a caller without a key. */
  readonly tenant: string;
  readonly createdAt: number;
  /** The models of its selection. */
  readonly models: readonly string[];
  readonly selection: Selection;
  readonly isStopRequested: boolean;
  readonly end: { readonly at: number; readonly status: 'done' | 'stopped' } | undefined;
}

/** How many actions a list has at most. */
const LISTED = 100;

/**
 * startAction stores a new action. A process that drives actions hears of it at once.
 *
 * @throws {QueueError} `too_many_actions`
 */
export async function startAction(
  { redis, prefix, queues }: ActionAccess,
  kind: ActionKind,
  filter: SearchFilter,
  selection: Selection,
  tenant: string,
): Promise<StoredAction> {
  const keys = actionKeysOf(prefix);
  const id = `act_${uuid().replaceAll('-', '')}`;
  const createdAt = serverTime(redis);
  const models = [...queues.keys()].filter((model) => filter.model === undefined || filter.model === model);
  const answer = await startActionScript.run(redis, {
    keys: { action: keys.action(id), actionPrefix: keys.action(''), open: keys.open, actions: keys.actions },
    args: { id, tenant, now: createdAt },
    rest: [
      ...['kind', kind, 'filter', JSON.stringify(filter), 'models', JSON.stringify(models)],
      ...['matching', selection.matching, 'more', selection.more ? 1 : 0],
      ...['cost_nano', Math.round(selection.cost_usd * NANO_PER_DOLLAR)],
    ],
  });
  if (answer !== 'ok') {
    throw new QueueError(
      'too_many_actions',
      'Expected at most 5 actions of a tenant that run at the same time, and 100 in all: wait until one has ended, ' +
        'or stop one with POST /actions/ID/stop',
      { retryAfterMs: 10_000 },
    );
  }
  return { id, kind, filter, tenant, createdAt, models, selection, isStopRequested: false, end: undefined };
}

/** readAction reads an action; undefined: there is none of this id. */
export async function readAction(
  { redis, prefix }: Pick<ActionAccess, 'redis' | 'prefix'>,
  id: string,
): Promise<StoredAction | undefined> {
  const fields = await redis.hgetall(actionKeysOf(prefix).action(id));
  if (fields['kind'] === undefined) return undefined;
  const finishedAt = fields['finished_at'];
  return {
    id,
    kind: fields['kind'] as ActionKind,
    filter: JSON.parse(fields['filter'] ?? '{}') as SearchFilter,
    tenant: fields['tenant'] ?? NO_TENANT,
    createdAt: Number(fields['created_at']),
    models: JSON.parse(fields['models'] ?? '[]') as string[],
    selection: {
      matching: Number(fields['matching']),
      more: fields['more'] === '1',
      cost_usd: Number(fields['cost_nano']) / NANO_PER_DOLLAR,
    },
    isStopRequested: fields['stop_requested_at'] !== undefined,
    end:
      finishedAt === undefined
        ? undefined
        : { at: Number(finishedAt), status: fields['status'] === 'stopped' ? 'stopped' : 'done' },
  };
}

/** newestActions reads the newest actions, at most 100. @param tenant whose actions; undefined: of all. */
export async function newestActions(
  access: ActionAccess,
  tenant: string | undefined,
): Promise<StoredAction[]> {
  const ids = await access.redis.zrevrange(actionKeysOf(access.prefix).actions, '0', '-1');
  const found: StoredAction[] = [];
  for (let from = 0; from < ids.length && found.length < LISTED; from += LISTED) {
    const batch = await Promise.all(ids.slice(from, from + LISTED).map((id) => readAction(access, id)));
    found.push(...batch.flatMap((each) => (each && (tenant ?? each.tenant) === each.tenant ? [each] : [])));
  }
  return found.slice(0, LISTED);
}

/**
 * requestStop writes the wish that an action stops. The runner that drives it reads the wish within a second.
 */
export async function requestStop({ redis, prefix }: ActionAccess, id: string): Promise<void> {
  await redis.hsetnx(actionKeysOf(prefix).action(id), 'stop_requested_at', serverTime(redis));
}

/** finishAction ends an action. @returns whether this call has ended it, and no other one before. */
export async function finishAction(
  { redis, prefix }: Pick<ActionAccess, 'redis' | 'prefix'>,
  id: string,
  status: 'done' | 'stopped',
): Promise<boolean> {
  const keys = actionKeysOf(prefix);
  const answer = await finishActionScript.run(redis, {
    keys: { action: keys.action(id), open: keys.open },
    args: { id, now: serverTime(redis), status },
  });
  return answer === 1;
}

/** What an outcome of one job means: it was changed, or left as it is for a reason. */
const DONE = new Set(['cancelled', 'cancelling', 'retried', 'deleted', 'bound']);
const REASONS: Record<string, string> = {
  missing: 'deleted_before',
  finished: 'finished_before',
  already: 'cancelled_before',
  changed: 'status_changed',
  completed: 'completed',
  unfinished: 'not_finished',
  unsettled: 'not_finished',
  later: 'ended_after_start',
};
/** FAILED stands before the code of a refusal in the name of an outcome. */
export const FAILED = 'failed:';
/** The fields of a part that are no outcomes. */
const PLACE = new Set(['token', 'lease_until', 'created', 'id', 'ended']);

/** viewOfAction reads how far an action has come. */
export async function viewOfAction({ redis, queues }: ActionAccess, action: StoredAction): Promise<Action> {
  const parts = await Promise.all(
    action.models.map(async (model) => {
      const keys = queues.get(model)?.keys;
      return keys === undefined ? {} : redis.hgetall(keys.actionPart(action.id));
    }),
  );
  let done = 0;
  const skipped: Record<string, number> = {};
  const failed: Record<string, number> = {};
  for (const [outcome, text] of parts.flatMap((part) => Object.entries(part))) {
    const count = Number(text);
    if (PLACE.has(outcome)) continue;
    if (DONE.has(outcome)) done += count;
    else if (outcome.startsWith(FAILED)) {
      const code = outcome.slice(FAILED.length);
      failed[code] = (failed[code] ?? 0) + count;
    } else {
      const reason = REASONS[outcome] ?? outcome;
      skipped[reason] = (skipped[reason] ?? 0) + count;
    }
  }
  const { index: _index, ...filter } = action.filter;
  return {
    id: action.id,
    kind: action.kind,
    status: action.end?.status ?? (action.isStopRequested ? 'stopping' : 'running'),
    filter,
    started_by: tenantInView(action.tenant),
    created_at: iso(action.createdAt),
    finished_at: action.end === undefined ? null : iso(action.end.at),
    ...action.selection,
    done,
    skipped,
    failed,
  };
}
