import type { Models } from '../src/config-file.ts';
import type { ModelQueue } from '../src/queue/model-queue.ts';
import { limitsOf } from '../src/quota/limits.ts';
import type { Quotas } from '../src/quota/quotas.ts';
import type { TenantQuotas } from '../src/quota/tenant-quota.ts';
import type { RedisClient } from '../src/redis/connection.ts';
import { grantAndStart } from './granting.ts';
import { createLineReporter } from './line-reporter.ts';
import { createPauses } from './pause.ts';
import type { QuotaNews } from './quota-news.ts';
import type { TenantGate } from './tenant-gate.ts';

export interface DispatcherOptions {
  queue: ModelQueue;
  models: Models['models'];
  quotas: Quotas;
  quotaNews: QuotaNews;
  tenantQuotas: TenantQuotas;
  gate: TenantGate;
  subscriber: RedisClient;
  /** How many more jobs this worker could hold. */
  room: () => number;
  onError: (error: Error) => void;
}

/** Starts the jobs of one model's line. Each worker has one, and all of them may be at it at once. */
export interface Dispatcher {
  /** Starts nothing more. */
  stop(): Promise<void>;
}

const AT_ONCE = 32;
/** A message may be lost while a connection is away. */
const IDLE_MS = 1000;
const NO_ROOM_MS = 50;
const AFTER_ERROR_MS = 1000;
/** Not all workers of a fleet ask in the same millisecond. */
const JITTER_MS = 20;

export function startDispatcher(options: DispatcherOptions): Dispatcher {
  const { queue, quotas, gate, room, onError } = options;
  const { config, line } = queue;
  const sources = [config.upstream, ...config.fallbacks].map((name) => ({
    name,
    quota: quotas.of(name),
    limits: limitsOf(options.models, name, config),
  }));
  const [first] = sources;
  if (first === undefined) throw new Error('expected a model to have an upstream');

  const stopping = new AbortController();
  const pauses = createPauses(stopping.signal);
  const stoppedHere = new Set<string>();
  listen(options, stoppedHere, pauses.wake);

  const reporter = createLineReporter(line);
  /** @returns how long to wait for the next one, in milliseconds. */
  const round = async (): Promise<number> => {
    const places = Math.min(AT_ONCE, room());
    const { paused, untaken, jobs } = await line.next(Math.max(1, places));
    if (jobs.length === 0) reporter.empty();
    if (jobs.length === 0 || paused) return IDLE_MS;
    if (places <= untaken) {
      await reporter.noWorker(first);
      return NO_ROOM_MS;
    }
    const { source, started, stopped, wait } = await grantAndStart(jobs.slice(0, places - untaken), {
      line,
      gate,
      sources,
    });
    for (const tenant of stopped) stoppedHere.add(tenant);
    await reporter.moved(source, wait);
    if (wait !== undefined) return Math.min(wait.milliseconds, IDLE_MS) + Math.random() * JITTER_MS;
    // Neither: other dispatchers are just starting these.
    return started > 0 || stopped.length > 0 ? 0 : JITTER_MS;
  };

  const running = (async () => {
    while (!stopping.signal.aborted) {
      const pauseMs = await round().catch((error: Error) => {
        onError(error);
        return AFTER_ERROR_MS;
      });
      if (pauseMs > 0) await pauses.wait(pauseMs);
    }
  })();

  return {
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
  wake: () => void,
): void {
  const { config, line, keys } = queue;
  for (const name of [config.upstream, ...config.fallbacks]) quotaNews.listen(quotas.of(name), wake);
  subscriber.on('message', (channel: string, message: string) => {
    if (channel === keys.line('news')) wake();
    else if (channel === tenantQuotas.channel && stoppedHere.delete(message))
      line.resume(message).then(wake, onError);
  });
  // What was said before that was not heard.
  subscriber.subscribe(keys.line('news'), tenantQuotas.channel).then(wake, onError);
  subscriber.on('ready', wake);
}
