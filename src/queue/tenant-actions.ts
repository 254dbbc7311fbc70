import { countSelection, selectionOf } from '../actions/selection.ts';
import {
  newestActions,
  readAction,
  requestStop,
  type StoredAction,
  startAction,
  viewOfAction,
} from '../actions/store.ts';
import { shown } from '../errors/input.ts';
import { QueueError } from '../errors/problem.ts';
import type { Action, ActionKind, Selection } from '../job/action.ts';
import type { JobFilter } from '../job/job-queue.ts';
import { tenantInView } from '../job/tenant.ts';
import type { SearchFilter } from '../job-store/search.ts';
import type { QueueCore } from './queue-core.ts';

/**
 * TenantActions are the long actions as one caller sees them: a tenant selects its own jobs only, and finds
 * only the actions that it has started.
 *
 * @throws {QueueError} from every method, with a code of docs/ERRORS.md.
 */
export class TenantActions {
  readonly #core: QueueCore;
  readonly #tenant: string;
  readonly #sees: string | undefined;

  /** @param caller the tenant that starts actions, and whose jobs it sees; `sees` undefined: all jobs. */
  constructor(core: QueueCore, { tenant, sees }: { tenant: string; sees: string | undefined }) {
    this.#core = core;
    this.#tenant = tenant;
    this.#sees = sees;
  }

  /** Counts the jobs that an action would touch, and what they have cost so far. */
  async count(kind: ActionKind, filter: JobFilter): Promise<Selection> {
    return this.#core.guard(() => countSelection(this.#core, kind, this.#selection(kind, filter)));
  }

  /** Starts an action over the jobs that match the filter now. */
  async start(kind: ActionKind, filter: JobFilter): Promise<Action> {
    const selected = this.#selection(kind, filter);
    return this.#core.guard(async () => {
      const selection = await countSelection(this.#core, kind, selected);
      const action = await startAction(this.#core, kind, selected, selection, this.#tenant);
      void this.#core.audit.record({
        by: tenantInView(this.#tenant),
        what: 'action.start',
        subject: action.id,
        outcome: `${kind} of ${countOf(selection)}`,
      });
      this.#core.actionStarted.call();
      return viewOfAction(this.#core, action);
    });
  }

  /** Reads how far an action has come. */
  async get(id: string): Promise<Action> {
    return this.#core.guard(async () => viewOfAction(this.#core, await this.#find(id)));
  }

  /** Lists the newest actions, at most 100. */
  async list(): Promise<Action[]> {
    return this.#core.guard(async () =>
      Promise.all(
        (await newestActions(this.#core, this.#sees)).map((each) => viewOfAction(this.#core, each)),
      ),
    );
  }

  /** Tells an action to stop, which it does within a second. An action that has ended stays as it is. */
  async stop(id: string): Promise<Action> {
    return this.#core.guard(async () => {
      const { end } = await this.#find(id);
      if (end === undefined) {
        await requestStop(this.#core, id);
        void this.#core.audit.record({
          by: tenantInView(this.#tenant),
          what: 'action.stop',
          subject: id,
          outcome: 'stopping',
        });
      }
      return viewOfAction(this.#core, await this.#find(id));
    });
  }

  #selection(kind: ActionKind, filter: JobFilter): SearchFilter {
    const own = this.#sees === undefined ? filter : { ...filter, tenant: this.#sees };
    return selectionOf(kind, own, this.#core.queues);
  }

  async #find(id: string): Promise<StoredAction> {
    const action = await readAction(this.#core, id);
    if (action !== undefined && (this.#sees ?? action.tenant) === action.tenant) return action;
    throw new QueueError('action_not_found', `Expected the id of an action that is kept, got ${shown(id)}`);
  }
}

/** countOf writes how many jobs an action is to change: `118 jobs`, `more than 10000 jobs`. */
function countOf({ matching, more }: Selection): string {
  return `${more ? 'more than ' : ''}${matching} ${matching === 1 ? 'job' : 'jobs'}`;
}
