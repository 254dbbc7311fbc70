import { readdirSync, readFileSync } from 'node:fs';
import type { Logger } from './log.ts';

/** Descriptors are how many files and sockets a process has open, and may have open. */
export interface Descriptors {
  open: number;
  limit: number;
}

/**
 * readDescriptors reads what the kernel says about this process; undefined: there is no limit, or the system
 * has no `/proc`. Node raises its limit to the hard limit (`ulimit -Hn`) when it starts.
 */
export function readDescriptors(): Descriptors | undefined {
  try {
    const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    if (soft === undefined) return undefined;
    return { limit: Number(soft), open: readdirSync('/proc/self/fd').length };
  } catch {
    return undefined;
  }
}

/**
 * How many descriptors are kept for what is not a job: the connections to Redis, health, webhooks, cancels.
 * Of a large limit an eighth is kept, because a producer may be in the same process.
 */
const RESERVED = 32;
const RESERVED_OF_MODEL = 2;
const RESERVED_SHARE = 1 / 8;

/**
 * slotsFor returns how many jobs a worker may hold: what is wanted, but no more than it has descriptors for.
 * A job that follows its response has one connection to the upstream. A worker without a free descriptor
 * could reach neither the upstream nor a Redis that has restarted.
 *
 * @param models the number of models. Each gets at least one job.
 */
export function slotsFor(wanted: number, models: number, descriptors: Descriptors | undefined): number {
  if (descriptors === undefined) return wanted;
  const { limit, open } = descriptors;
  const reserved = Math.max(RESERVED + RESERVED_OF_MODEL * models, Math.ceil(limit * RESERVED_SHARE));
  return Math.max(models, Math.min(wanted, limit - open - reserved));
}

/** sayDescriptorsAreFew logs why a worker holds fewer jobs than wanted, and what raises the number. */
export function sayDescriptorsAreFew(
  logger: Logger,
  { slots, wanted, descriptors }: { slots: number; wanted: number; descriptors: Descriptors },
): void {
  const { limit, open } = descriptors;
  logger.warn(
    { slots, wanted, limit, open },
    `holds ${slots} jobs at once instead of the ${wanted} of O3Q_CONCURRENCY: a job needs a descriptor, and ` +
      `this process may open ${limit}. Raise that with ulimit -n (systemd: LimitNOFILE, Docker: --ulimit nofile)`,
  );
}
