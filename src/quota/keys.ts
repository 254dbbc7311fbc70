/**
 * The quota of one upstream model, under one upstream key: aliases and fallbacks that lead to the same upstream model share it. Its keys have a hash tag of
 * their own, so that a Redis Cluster keeps them in one slot, wherever the queues are.
 */
export interface QuotaKeys {
  /** A hash: sums of the window, paces, what the upstream has told, and why nothing may be sent. Its name is also the channel on which dispatchers hear that it has changed. */
  readonly state: string;
  /** A list of what was charged in the last minute, in steps of a tenth of a second: `<step>:<requests>:<tokens>`. */
  readonly window: string;
  /** A sorted set of the jobs that hold a part of the quota, by the time at which it ends unless it is renewed (ms). */
  readonly leases: string;
  /** A hash of what each of them holds: `<step>:<tokens>:<0 reserved, 1 sent, 2 counted by the upstream>:<input tokens as estimated>:<class>`. */
  readonly held: string;
  /** A hash of what such jobs have really used: averages by class. */
  readonly usage: string;
}

export function quotaKeysOf(prefix: string, upstreamModel: string): QuotaKeys {
  const state = `${prefix}:quota:{${upstreamModel}}`;
  return {
    state,
    window: `${state}:window`,
    leases: `${state}:leases`,
    held: `${state}:held`,
    usage: `${state}:usage`,
  };
}

/** All of a quota's keys, in the order in which its scripts take them. */
export function allOf({ state, window, leases, held, usage }: QuotaKeys): string[] {
  return [state, window, leases, held, usage];
}
