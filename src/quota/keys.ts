/**
 * QuotaKeys names the Redis keys of the quota of one upstream model, under one upstream key. Models and
 * fallbacks that use the same upstream model share this quota. The keys have a hash tag of their own, so that
 * a Redis Cluster keeps them in one slot, wherever the queues are.
 */
export interface QuotaKeys {
  /**
   * A hash. Its name is also the channel on which dispatchers hear that the quota has changed. Times are Unix
   * milliseconds. Fields:
   *
   * - `requests`, `tokens`: sums of the window.
   * - `next_request`, `next_token`, `next_large`, `next_start`: the times from which an even spread allows
   *   the next request, the next tokens, the next tokens of a large job and, right after a 429, the next
   *   start.
   * - `claim`: the job that other queues must leave tokens for: `<job> <tokens> <since> <last asked for>`.
   * - `ms_per_token`: the milliseconds for each token in an even spread.
   * - `advertised_requests`, `advertised_tokens`, `advertised_at`: the limits per minute that the upstream
   *   has advertised, and when.
   * - `drift`: tokens that the upstream counted beyond our charges.
   * - `pending_tokens`: tokens reserved for jobs that the upstream has not counted yet.
   * - `over_estimate`: tokens reserved beyond their input for jobs that the upstream has counted.
   * - `slot_awaited`: set while a dispatcher waits for a slot in flight.
   * - `windowed`: how many of the leases are for responses within a completion window.
   * - `no_windows_until`: until then no job gets a window that its own request does not name, because the
   *   upstream has refused one.
   * - `rate_limited_until`: end of the pause that a 429 has asked for.
   * - `throttles`, `throttled_inside`: how many such pauses followed each other while no job passed; whether
   *   accepted responses were throttled.
   * - `breaker`, `breaker_words`, `breaker_inside`: why only probes are sent, the upstream's words about it,
   *   and '1' when failures of accepted responses have opened the breaker. src/lua/quota/circuit-breaker.ts
   *   says who writes and ends these fields.
   * - `probe_at`, `probe_ms`, `probe_job`: when the next probe is sent, the wait before it, and the job that
   *   is the probe.
   * - `failures`, `failing_jobs`, `inside_failures`, `inside_failing_jobs`: how many jobs failed in a row,
   *   and their ids; for create requests and for accepted responses. Five open the breaker.
   * - `passes`, `answers`: create requests that were accepted, and responses that brought an answer.
   * - `gone_until`: until then the upstream is assumed not to have the model.
   */
  readonly state: string;
  /** A list of the charges of the last minute, in steps of 100 ms: `<step>:<requests>:<tokens>`. */
  readonly window: string;
  /** A sorted set of the jobs that have a reservation, by the end of their lease. */
  readonly leases: string;
  /**
   * A hash of the reservations by job: `<step>:<tokens>:<status>:<estimated input tokens>:<class>`. The
   * class of a response within a completion window ends with `@` and the window. The status is 0 for reserved, 1 for sent, 2 for counted by the upstream.
   */
  readonly reservations: string;
  /** A hash of averages by class: what jobs have used. */
  readonly usage: string;
  /**
   * A hash of the jobs that were refused for a reason that may concern all jobs, since each job last passed:
   * `<passes at the last refusal>:<refusals with passes in between>`. The field is the job, or `inside
   * <job>`.
   */
  readonly refusals: string;
}

/** quotaKeysOf returns the keys of the quota of `upstreamModel` under `prefix` (`O3Q_PREFIX`). */
export function quotaKeysOf(prefix: string, upstreamModel: string): QuotaKeys {
  const state = `${prefix}:quota:{${upstreamModel}}`;
  return {
    state,
    window: `${state}:window`,
    leases: `${state}:leases`,
    reservations: `${state}:reservations`,
    usage: `${state}:usage`,
    refusals: `${state}:refusals`,
  };
}

/**
 * TenantQuotaKeys names the Redis keys of what a tenant has reserved over all models. Each tenant has its own
 * slot.
 */
export interface TenantQuotaKeys {
  /** A sorted set of the tenant's jobs that have a slot in flight, by the end of their lease (ms). */
  readonly leases: string;
  /** A hash of the expected cost of these jobs, in nano-dollars. */
  readonly costs: string;
}

/** tenantQuotaKeysOf returns the keys of the quota of `tenant` under `prefix` (`O3Q_PREFIX`). */
export function tenantQuotaKeysOf(prefix: string, tenant: string): TenantQuotaKeys {
  const base = `${prefix}:tenant:{tenant ${tenant}}`;
  return { leases: `${base}:leases`, costs: `${base}:costs` };
}
