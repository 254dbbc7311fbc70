import { responseNotFound } from '../api/errors.ts';
import { type Account, isSameAccount } from '../request/account.ts';
import { elapsedMs, endMs, isFinished, type Run } from './run.ts';

/** Store keeps the responses. It forgets a finished one after `retentionMs`. */
export type Store = {
  /** The store as an account sees it. */
  of(account: Account): Store;
  add(run: Run): void;
  /** @throws OpenAI's 404 for an unknown id, and for a foreground response in flight. */
  find(id: string): Run;
  has(id: string): boolean;
  /**
   * Like `find`, but also finds a foreground response in flight. The cancel route needs it, because it
   * answers for such a response with another error than 404.
   */
  findAny(id: string): Run;
  remove(run: Run): void;
  close(): void;
};

export type StoreDeps = {
  readonly retentionMs: number;
  /** How long a response in a completion window with `store: false` is kept after its end. */
  readonly unstoredMs: number;
  readonly now: () => number;
  /** Called when a response leaves the store: it expired or was deleted, or its caller hung up. */
  readonly onRemoved: (run: Run) => void;
};

const MAX_SWEEP_MS = 30_000;
const MIN_SWEEP_MS = 50;

export function createStore({ retentionMs, unstoredMs, now, onRemoved }: StoreDeps): Store {
  const runs = new Map<string, Run>();
  const remove = (run: Run): void => {
    if (runs.delete(run.script.id)) onRemoved(run);
  };
  const isExpired = (run: Run): boolean => {
    const { store, backgroundOptions } = run.script.request;
    const isUnstored = !store && backgroundOptions.completionWindow !== 'soonest';
    return elapsedMs(run, now()) > endMs(run) + (isUnstored ? unstoredMs : retentionMs);
  };
  const sweep = (): void => {
    for (const run of runs.values()) if (isExpired(run)) remove(run);
  };
  // Every lookup checks whether the response has expired. This timer only frees memory, so it need not be
  // exact.
  const sweeper = setInterval(sweep, Math.max(MIN_SWEEP_MS, Math.min(MAX_SWEEP_MS, retentionMs)));
  sweeper.unref();
  const get = (id: string): Run | undefined => {
    const run = runs.get(id);
    if (!run || !isExpired(run)) return run;
    remove(run);
    return undefined;
  };
  const getVisible = (id: string): Run | undefined => {
    const run = get(id);
    return run && isVisible(run, now()) ? run : undefined;
  };
  const storeOf = (account: Account | undefined): Store => {
    const own = (run: Run | undefined): Run | undefined =>
      run && (account === undefined || isSameAccount(run.script.request.account, account)) ? run : undefined;
    return {
      of: storeOf,
      add: (run) => {
        runs.set(run.script.id, run);
      },
      find: (id) => orNotFound(id, own(getVisible(id))),
      has: (id) => own(getVisible(id)) !== undefined,
      findAny: (id) => orNotFound(id, own(get(id))),
      remove,
      close: () => {
        clearInterval(sweeper);
        runs.clear();
      },
    };
  };
  return storeOf(undefined);
}

function orNotFound(id: string, run: Run | undefined): Run {
  if (run) return run;
  throw responseNotFound(id);
}

function isVisible(run: Run, nowMs: number): boolean {
  const { background, store } = run.script.request;
  return background || (store && run.cancelledAtMs === undefined && isFinished(run, nowMs));
}
