import type { ConnectionOptions } from 'node:tls';
import type { HostAndPort } from '../url.ts';
import { connectSentinel, type Opinion, type Sentinel } from './sentinel.ts';

/** The time between two questions to all sentinels, in milliseconds. */
const ASK_EVERY_MS = 1000;
/**
 * How long an older opinion is not believed after a newer one was last heard, in milliseconds. A sentinel
 * learns of a failover from the others within about two seconds.
 */
const NEWER_COUNTS_MS = 10_000;
/**
 * How long connections wait for the end of a failover before they go back to the old master, in milliseconds.
 * A failover takes about a second; one that cannot succeed is given up only after minutes.
 */
const FAILOVER_MS = 5000;

/** MasterWatch knows which server the sentinels name as the master. */
export interface MasterWatch {
  /**
   * Asks all sentinels and returns the master with the newest configuration epoch. A sentinel that did not
   * answer the last time is only waited for if no other one answers.
   *
   * @throws {Error} when no sentinel names a master, or while a failover is running.
   */
  ask(): Promise<HostAndPort>;
  /** Returns whether this server is the master, as far as is known, and no failover is running. */
  isMaster(server: HostAndPort): boolean;
  /** Calls the listener when `isMaster` may have another result. @returns a function that ends this. */
  onChange(listener: () => void): () => void;
  close(): void;
}

/**
 * watchMaster connects to all sentinels. It asks them once a second, and when one of them reports an event of
 * a failover.
 *
 * A single sentinel may name the old master for some seconds after a failover. If the old master runs again
 * in this time, Sentinel makes it a replica only after about eight seconds. What is written to it until then
 * is lost. So the newest configuration epoch of all answers counts, and is remembered.
 */
export function watchMaster(
  sentinels: readonly HostAndPort[],
  masterName: string,
  tlsFor: (server: HostAndPort) => ConnectionOptions | undefined,
): MasterWatch {
  const all = new Map<string, Sentinel>();
  const listeners = new Set<() => void>();
  let newest: Opinion | undefined;
  /** When a sentinel last agreed with `newest`, by performance.now(). */
  let heardAt = 0;
  /** Since when a failover has been running, by performance.now(). */
  let failoverSince: number | undefined;
  let master: string | undefined;

  const isFailingOver = (): boolean =>
    failoverSince !== undefined && performance.now() - failoverSince < FAILOVER_MS;
  const update = (): void => {
    const now = newest === undefined || isFailingOver() ? undefined : nameOf(newest.master);
    if (now === master) return;
    master = now;
    for (const listener of [...listeners]) listener();
  };
  const add = (sentinel: HostAndPort): void => {
    const name = nameOf(sentinel);
    if (all.has(name)) return;
    const onEvent = (): void => void askAll();
    all.set(name, connectSentinel(sentinel, { masterName, tls: tlsFor(sentinel), onEvent }));
  };
  const consider = (opinion: Opinion): void => {
    const now = performance.now();
    if (newest !== undefined && now - heardAt < NEWER_COUNTS_MS) {
      if (opinion.configEpoch < newest.configEpoch) return;
      const isSame = nameOf(opinion.master) === nameOf(newest.master);
      if (opinion.configEpoch === newest.configEpoch && !isSame) return;
    }
    newest = opinion;
    heardAt = now;
  };
  const askAll = async (): Promise<void> => {
    const startedAt = performance.now();
    const opinions: Opinion[] = [];
    const [healthy, others] = [true, false].map((isHealthy) =>
      [...all.values()]
        .filter((sentinel) => sentinel.isHealthy === isHealthy)
        .map(async (sentinel) => {
          const opinion = await sentinel.ask();
          if (opinion === undefined) return;
          opinions.push(opinion);
          opinion.others.forEach(add);
          consider(opinion);
          if (newest?.configEpoch !== opinion.configEpoch) return;
          if (opinion.isFailingOver) failoverSince ??= performance.now();
          update();
        }),
    );
    await Promise.all(healthy ?? []);
    if (heardAt < startedAt) await Promise.all(others ?? []);
    const isRunning = opinions.some(
      (opinion) => opinion.isFailingOver && opinion.configEpoch === newest?.configEpoch,
    );
    if (!isRunning) failoverSince = undefined;
    update();
  };

  sentinels.forEach(add);
  const timer = setInterval(() => void askAll(), ASK_EVERY_MS);
  timer.unref();

  return {
    async ask() {
      const startedAt = performance.now();
      await askAll();
      if (isFailingOver()) throw new Error(`A failover of the master ${masterName} is running`);
      if (newest === undefined || heardAt < startedAt) {
        const reasons = new Set([...all.values()].flatMap(({ lastError }) => lastError?.message ?? []));
        throw new Error(
          `All sentinels are unreachable, or name no master ${masterName}: ${[...reasons].join('; ')}`,
        );
      }
      return newest.master;
    },
    isMaster: (server) => nameOf(server) === master,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close() {
      clearInterval(timer);
      for (const sentinel of all.values()) sentinel.close();
    },
  };
}

function nameOf({ host, port }: HostAndPort): string {
  return `${host}:${port}`;
}
