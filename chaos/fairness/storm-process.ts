import { setMaxListeners } from 'node:events';
import { createGreedyCalls } from './greedy-calls.ts';
import { STORM_KINDS } from './storm-kinds.ts';

/**
 * The entry point of the process of the greedy tenant: its own event loop, so that the calls of the calm
 * tenant are measured in a process that has time. Its arguments are the storm, the URL of the producer, the
 * key, and the number of jobs. It says `ready` when it is prepared, begins at the next message, ends at the
 * one after it, and then says what became of its calls.
 */
const [name = '', url = '', key = '', jobs = ''] = process.argv.slice(2);
const kind = STORM_KINDS.find((one) => one.name === name);
if (kind === undefined) throw new Error(`expected a storm, got ${name}`);
// The channel keeps this process alive, and the process ends when the scenario does.
process.channel?.ref();
process.once('disconnect', () => process.exit());
const stopping = new AbortController();
setMaxListeners(0, stopping.signal);
const calls = createGreedyCalls(new URL(url), key, stopping.signal);

const nextMessage = (): Promise<void> => new Promise((resolve) => process.once('message', () => resolve()));
const preparing = new AbortController();
const ids =
  (await kind.prepare?.(createGreedyCalls(new URL(url), key, preparing.signal), Number(jobs))) ?? [];
const begin = nextMessage();
process.send?.('ready');
await begin;
const end = nextMessage();
const raging = kind.rage(calls, ids);
await end;
const counts = Object.fromEntries(calls.counts);
stopping.abort();
await raging.catch(() => {});
process.send?.(counts, () => process.exit());
