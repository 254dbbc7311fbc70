import { badRequest, invalidType, type ReplyHeaders, responseNotFound } from '../api/errors.ts';
import { ODD_REPLIES, type OddReply } from '../faults/odd-replies.ts';
import { refusal } from '../faults/refusals.ts';
import type { LedgerWriter } from '../ledger/ledger.ts';
import type { Settings } from '../options.ts';
import { listInputItems } from '../request/input.ts';
import { cancel, elapsedMs, isFinished, objectOf, type Run } from '../response/run.ts';
import type { Store } from '../response/store.ts';
import { FROM_THE_BEGINNING, type Reply } from './reply.ts';

/** How long a response in a window may be left alone, in milliseconds of the window's clock. */
const POLL_AFTER_MS = 300_000;

export type LookupDeps = {
  readonly settings: Settings;
  readonly store: Store;
  readonly ledger: LedgerWriter;
  readonly now: () => number;
};

/**
 * retrieveResponse answers `GET /v1/responses/:id` with the response or, with `stream=true`, with its events.
 */
export function retrieveResponse(id: string, query: URLSearchParams, deps: LookupDeps): Reply {
  const run = deps.store.find(id);
  const isStream = readBoolean(query, 'stream') ?? false;
  if (!isStream) {
    run.polls += 1;
    deps.ledger.count('polls');
  }
  const odd = oddLookup(run);
  if (odd !== undefined) return { kind: 'odd', reply: odd };
  if (!isStream) return { kind: 'json', body: objectOf(run, deps.now()), headers: pollHeaders(run, deps) };
  checkStreamable(run, deps);
  return {
    kind: 'stream',
    run,
    startingAfter: readCursor(query) ?? FROM_THE_BEGINNING,
    obfuscated: readBoolean(query, 'include_obfuscation') ?? true,
    // The simulator sends no rate-limit headers with a lookup. Whether OpenAI does is unknown.
    headers: {},
  };
}

export function cancelResponse(id: string, { store, ledger, now }: LookupDeps): Reply {
  ledger.count('cancels');
  const run = store.findAny(id);
  refuseIfGone(run);
  return { kind: 'json', body: cancel(run, now()) };
}

export function deleteResponse(id: string, { store, ledger, now }: LookupDeps): Reply {
  ledger.count('deletes');
  const run = store.find(id);
  refuseIfGone(run);
  if (!isFinished(run, now())) throw badRequest('Cannot delete an in-flight response.');
  run.deletedAtMs = elapsedMs(run, now());
  store.remove(run);
  return { kind: 'json', body: { id, object: 'response', deleted: true } };
}

export function inputItems(id: string, query: URLSearchParams, { store }: LookupDeps): Reply {
  const run = store.find(id);
  refuseIfGone(run);
  return { kind: 'json', body: listInputItems(id, run.script.request.body['input'], query) };
}

/**
 * pollHeaders asks the caller of a running response in a window to look again after five minutes of the
 * window's clock. Whether OpenAI sends this header with responses is unknown.
 */
function pollHeaders(run: Run, { settings, now }: LookupDeps): ReplyHeaders {
  const { sim, backgroundOptions } = run.script.request;
  if (isFinished(run, now())) return {};
  const isInWindow = backgroundOptions.completionWindow !== 'soonest';
  const afterMs =
    sim.numbers.sim_poll_after_ms ?? (isInWindow ? Math.ceil(POLL_AFTER_MS / settings.windowScale) : 0);
  return afterMs === 0 ? {} : { 'openai-poll-after-ms': String(afterMs) };
}

function refuseIfGone(run: Run): void {
  if (run.faults.lookup === 'gone') throw responseNotFound(run.script.id);
}

/** Throws the error that a lookup fault asks for, or returns its odd reply. */
function oddLookup(run: Run): OddReply | undefined {
  refuseIfGone(run);
  const { lookup } = run.faults;
  if (lookup === undefined) return undefined;
  const { request } = run.script;
  if (run.failedPolls >= (request.sim.numbers.sim_polls ?? 1)) return undefined;
  run.failedPolls += 1;
  switch (lookup) {
    case 'poll_401':
      return ODD_REPLIES['401'];
    case 'poll_html':
      return ODD_REPLIES['403_html'];
    case 'poll_refuse':
      return request.sim.refusal;
    case 'poll_429':
    case 'poll_500': {
      const fault = lookup === 'poll_429' ? '429' : '500';
      throw refusal(fault, request.model.id, request.sim.numbers.sim_retry_after_ms);
    }
    default:
      throw responseNotFound(run.script.id);
  }
}

function checkStreamable(run: Run, { settings, now }: LookupDeps): void {
  const { background, stream } = run.script.request;
  if (!background || !stream) {
    const missing = background ? 'stream=true' : 'background=true';
    throw badRequest(`This response cannot be streamed because it was not created with ${missing}.`, {
      param: 'stream',
    });
  }
  if (elapsedMs(run, now()) > settings.streamWindowMs) {
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
