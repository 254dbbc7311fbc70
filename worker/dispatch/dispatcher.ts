import { createWaker } from '../../src/async/pause.ts';
import type { Models } from '../../src/config/file.ts';
import type { ModelQueue } from '../../src/model-queue/model-queue.ts';
import { limitsOf } from '../../src/quota/limits.ts';
import type { Quotas } from '../../src/quota/quota.ts';
import type { TenantQuotas } from '../../src/quota/tenant-quota.ts';
import type { RedisClient } from '../../src/redis/connection.ts';
import type { QuotaSignals } from '../reservation/quota-signals.ts';
import { reserveAndStart } from '../reservation/reserve.ts';
import type { TenantLimits } from '../reservation/tenant-limits.ts';
import { createQueueStatusReporter } from './queue-status.ts';

export interface DispatcherOptions {
  queue: ModelQueue;
  models: Models['models'];
  quotas: Quotas;
  quotaNews: QuotaSignals;
  tenantQuotas: TenantQuotas;
  gate: TenantLimits;
  subscriber: RedisClient;
  /** How many more jobs this worker could hold. */
  room: () => number;
  onError: (error: Error) => void;
}

/** Starts the jobs of one model's line. Each worker has one, and all of them may be at it at once. */
export interface Dispatcher {
  /** There may be more room than before. */
  hearRoom(): void;
  /** Starts nothing more. */
  stop(): Promise<void>;
}

/** What a dispatcher waits for. News of anything else lets it wait: a job that is enqueued makes no quota. */
type Lack = 'jobs' | 'quota' | 'room';

const AT_ONCE = 32;
/** A message may be lost while a connection is away. */
const IDLE_MS = 1000;
/** Until some worker has taken what was started. */
const UNTAKEN_MS = 50;
const AFTER_ERROR_MS = 1000;
/** Not all workers of a fleet ask in the same millisecond. */
const JITTER_MS = 20;

export function startDispatcher(options: DispatcherOptions): Dispatcher {
  const { queue, quotas, gate, room, onError } = options;
  const { config, line, upstreamModels } = queue;
  const sources = upstreamModels.map((name) => ({
    name,
    quota: quotas.of(name),
    limits: limitsOf(options.models, name, config),
  }));
  const [first] = sources;
  if (first === undefined) throw new Error('expected a model to have an upstream');

  const stopping = new AbortController();
  const pauses = createWaker(stopping.signal);
  const stoppedHere = new Set<string>();
  /** Since the round began. */
  const heard = new Set<Lack>();
  let lacks: Lack | undefined;
  const hear = (lack: Lack): void => {
    heard.add(lack);
    if (lack === lacks) pauses.wake();
  };
  listen(options, stoppedHere, hear);

  const reporter = createQueueStatusReporter(line, onError);
  /** @returns what to wait for, and for how long at most, in milliseconds; undefined: nothing. */
  const round = async (): Promise<{ lack: Lack; ms: number } | undefined> => {
    const places = Math.min(AT_ONCE, room());
    const { paused, untaken, jobs } = await line.next(Math.max(1, places));
    if (jobs.length === 0) reporter.empty();
    if (jobs.length === 0 || paused) return { lack: 'jobs', ms: IDLE_MS };
    if (places <= untaken) {
      reporter.noWorker(first);
      return { lack: 'room', ms: untaken > 0 ? UNTAKEN_MS : IDLE_MS };
    }
    const { source, started, stopped, wait } = await reserveAndStart(jobs.slice(0, places - untaken), {
      ...{ model: queue.model, line, gate, sources, stoppedHere },
    });
    reporter.moved(source, wait);
    if (wait !== undefined) {
      return { lack: 'quota', ms: Math.min(wait.milliseconds, IDLE_MS) + Math.random() * JITTER_MS };
    }
    // Neither: other dispatchers are just starting these.
    return started > 0 || stopped > 0 ? undefined : { lack: 'jobs', ms: JITTER_MS };
  };

  const running = (async () => {
    while (!stopping.signal.aborted) {
      lacks = undefined;
      heard.clear();
      const lack = await round().catch((error: Error) => {
        onError(error);
        return { lack: undefined, ms: AFTER_ERROR_MS };
      });
      if (lack === undefined || (lack.lack !== undefined && heard.has(lack.lack))) continue;
      lacks = lack.lack;
      await pauses.wait(lack.ms);
    }
  })();

  return {
    hearRoom: () => hear('room'),
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** To everything after which there may be more to start. */
function listen(
  { queue, quotas, quotaNews, tenantQuotas, subscriber, onError }: DispatcherOptions,
  stoppedHere: Set<string>,
  hear: (lack: Lack) => void,
): void {
  const { upstreamModels, line, keys } = queue;
  for (const name of upstreamModels) quotaNews.listen(quotas.of(name), () => hear('quota'));
  subscriber.on('message', (channel: string, message: string) => {
    if (channel === keys.fairQueue('wake')) hear('jobs');
    else if (channel === tenantQuotas.channel && stoppedHere.delete(message))
      line.resume(message).then(() => hear('jobs'), onError);
  });
  // What was said before that was not heard.
  const hearAll = (): void => {
    for (const lack of ['jobs', 'quota'] as const) hear(lack);
  };
  subscriber.subscribe(keys.fairQueue('wake'), tenantQuotas.channel).then(hearAll, onError);
  subscriber.on('ready', hearAll);
}
