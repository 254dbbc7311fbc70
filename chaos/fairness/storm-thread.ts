import { once, setMaxListeners } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import { createGreedyCalls } from './greedy-calls.ts';
import { STORM_KINDS, type StormName } from './storm-kinds.ts';

/** StormOrder is what the thread of the greedy tenant is started with. */
export interface StormOrder {
  storm: StormName;
  url: string;
  key: string;
  /** How many jobs a storm that needs some stores first. */
  jobs: number;
}

/**
 * The entry point of the thread of the greedy tenant: it has an event loop of its own, so that the calls of the
 * calm tenant are measured in a thread that has time. It says `ready` when it is prepared, begins at the next
 * message, ends at the one after it, and then says what became of its calls.
 */
const { storm, url, key, jobs } = workerData as StormOrder;
const kind = STORM_KINDS.find(({ name }) => name === storm);
if (kind === undefined || parentPort === null) throw new Error(`expected a storm in a thread, got ${storm}`);
const stopping = new AbortController();
setMaxListeners(0, stopping.signal);
const calls = createGreedyCalls(new URL(url), key, stopping.signal);
const preparing = createGreedyCalls(new URL(url), key, new AbortController().signal);

const ids = (await kind.prepare?.(preparing, jobs)) ?? [];
const begin = once(parentPort, 'message');
parentPort.postMessage('ready');
await begin;
const end = once(parentPort, 'message');
const raging = kind.rage(calls, ids);
await end;
parentPort.postMessage(new Map(calls.counts));
stopping.abort();
// The scenario ends this thread: some connections may take long to close.
await raging;
