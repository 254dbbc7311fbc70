import { refuseIfGone, refuseLookup } from '../faults/refusals.ts';
import type { LedgerBook } from '../ledger/ledger.ts';
import { listInputItems } from '../request/input-items.ts';
import { cancel, elapsedMs, isFinished, objectOf, type Run } from '../response/run.ts';
import type { Store } from '../response/store.ts';
import { badRequest, invalidType } from './errors.ts';
import { FROM_THE_BEGINNING, type Reply } from './reply.ts';

export type LookupDeps = {
  readonly store: Store;
  readonly ledger: LedgerBook;
  readonly streamWindowMs: number;
  readonly now: () => number;
};

/** `GET /v1/responses/:id`, as an object or, with `stream=true`, as its events. */
export function retrieveResponse(id: string, query: URLSearchParams, deps: LookupDeps): Reply {
  const run = deps.store.find(id);
  const isStream = readBoolean(query, 'stream') ?? false;
  if (!isStream) {
    run.polls += 1;
    deps.ledger.count('polls');
  }
  refuseLookup(run);
  if (!isStream) return { kind: 'json', body: objectOf(run, deps.now()) };
  checkStreamable(run, deps);
  return {
    kind: 'stream',
    run,
    startingAfter: readCursor(query) ?? FROM_THE_BEGINNING,
    obfuscated: readBoolean(query, 'include_obfuscation') ?? true,
    // Whether the real one tells its limits at a lookup is not known; this one does not.
    headers: {},
  };
}

export function cancelResponse(id: string, { store, ledger, now }: LookupDeps): Reply {
  ledger.count('cancels');
  const run = store.findAny(id);
  refuseIfGone(run);
  return { kind: 'json', body: cancel(run, now()) };
}

export function deleteResponse(id: string, { store, now }: LookupDeps): Reply {
  const run = store.find(id);
  refuseIfGone(run);
  if (!isFinished(run, now())) throw badRequest('Cannot delete an in-flight response.');
  store.remove(run);
  return { kind: 'json', body: { id, object: 'response', deleted: true } };
}

export function inputItems(id: string, query: URLSearchParams, { store }: LookupDeps): Reply {
  const run = store.find(id);
  refuseIfGone(run);
  return { kind: 'json', body: listInputItems(id, run.script.request.body['input'], query) };
}

function checkStreamable(run: Run, { streamWindowMs, now }: LookupDeps): void {
  const { background, stream } = run.script.request;
  if (!background || !stream) {
    const missing = background ? 'stream=true' : 'background=true';
    throw badRequest(`This response cannot be streamed because it was not created with ${missing}.`, {
      param: 'stream',
    });
  }
  if (elapsedMs(run, now()) > streamWindowMs) {
    throw badRequest('This response can no longer be streamed because it is more than 5 minutes old.', {
      param: 'stream',
    });
  }
}

function readBoolean(query: URLSearchParams, name: string): boolean | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (text === 'true') return true;
  if (text === 'false') return false;
  throw invalidType(name, 'a boolean', text);
}

function readCursor(query: URLSearchParams): number | undefined {
  const text = query.get('starting_after');
  if (text === null) return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  throw invalidType('starting_after', 'an integer', text);
}
