import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { FinishedStatus } from '../job/job.ts';
import { ownVersion } from '../process/own-version.ts';
import type { WriteProbe } from '../redis/write-probe.ts';

/**
 * ProcessMetrics are the metrics that a producer and a worker have in common, and the registry to which each adds
 * its own. Where both run in one process they share it, so that each name is told once.
 */
export interface ProcessMetrics {
  readonly registry: Registry;
  /** The content type of `text`. */
  readonly contentType: string;
  /** Returns all metrics in the text format of Prometheus. */
  text(): Promise<string>;
  /**
   * Returns a function that counts ends of a model's jobs. The counter of each possible end begins at 0: a counter
   * that is missing until its first event would hide that event from `increase()`.
   */
  endsOf(model: string, possible: readonly JobEnd[]): (end: JobEnd) => void;
  /** Counts a write that is less safe in Redis than `O3Q_ACK` asks for. */
  weakAck(): void;
  /** Adds a probe. `o3q_redis_ready` is 1 while no probe says that Redis takes no writes. */
  watchRedis(trouble: WriteProbe): void;
}

/** JobEnd is the end of a job, as it is counted. */
export interface JobEnd {
  status: FinishedStatus;
  /** A code of docs/ERRORS.md; '' for a job that has not failed. */
  code: string;
}

/** CANCELLED is the only end that a producer makes: of a job that no worker holds. */
export const CANCELLED: JobEnd = { status: 'cancelled', code: '' };

/**
 * These metrics of prom-client (15.1.3) are gauges whose names end as those of counters do, which promtool
 * complains about. `nodejs_active_resources` and the like have the same numbers.
 */
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

/**
 * createProcessMetrics makes an empty registry with the version.
 *
 * @param options.ofNode whether the metrics of Node's process are added: memory, CPU, event loop, open files. They
 * are the same for everything in the process. Default false.
 * @param options.isConfigRefused whether a file on disk is refused, so that older settings are in force. Default:
 * the settings are not those of a file.
 */
export function createProcessMetrics({
  ofNode = false,
  isConfigRefused = () => false,
}: {
  ofNode?: boolean;
  isConfigRefused?: () => boolean;
} = {}): ProcessMetrics {
  const registry = new Registry();
  const registers = [registry];
  if (ofNode) {
    collectDefaultMetrics({ register: registry });
    for (const name of MISNAMED) registry.removeSingleMetric(name);
  }
  new Gauge({
    name: 'o3q_build_info',
    help: '1; the label has the version of o3-queue that runs',
    labelNames: ['version'],
    registers,
  }).set({ version: ownVersion() }, 1);
  new Gauge({
    name: 'o3q_config_refused',
    help: '1 while a changed configuration is refused, so that the settings before it stay in force',
    registers,
    collect() {
      this.set(isConfigRefused() ? 1 : 0);
    },
  });
  const jobs = new Counter({
    name: 'o3q_jobs_total',
    help: 'Jobs that ended, by status, and by code if they failed; counted once, by the process that ended them',
    labelNames: ['model', 'status', 'code'],
    registers,
  });
  const weakAcks = new Counter({
    name: 'o3q_weak_acks_total',
    help: 'Jobs and ids of bought responses that Redis has not confirmed as O3Q_ACK asks for',
    registers,
  });
  const probes: WriteProbe[] = [];
  return {
    registry,
    contentType: registry.contentType,
    text: () => registry.metrics(),
    endsOf(model, possible) {
      for (const { status, code } of possible) jobs.inc({ model, status, code }, 0);
      return ({ status, code }) => jobs.inc({ model, status, code });
    },
    weakAck: () => weakAcks.inc(),
    watchRedis(trouble) {
      probes.push(trouble);
      if (probes.length > 1) return;
      new Gauge({
        name: 'o3q_redis_ready',
        help: '1 while Redis takes the writes of this process, 0 while it is away, full or read-only',
        registers,
        async collect() {
          const troubles = await Promise.all(probes.map((probe) => probe()));
          this.set(troubles.every((each) => each === undefined) ? 1 : 0);
        },
      });
    },
  };
}
