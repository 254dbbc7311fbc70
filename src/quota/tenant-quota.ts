import {
  tenantGiveBackScript,
  tenantReleaseScript,
  tenantRenewScript,
  tenantTakeScript,
} from '../lua/quota/tenant.ts';
import type { RedisClient } from '../redis/connection.ts';
import { LEASE_MS, RUNNING_LEASE_MS, STARTING_MS } from './quota.ts';

export interface TenantTaken {
  /** An answer for each job that there was a place for, in their order; `held`: it had one. */
  answers: ('taken' | 'held')[];
  /** What is reserved for all others of the tenant, in nano-dollars. */
  reservedNano: number;
  /** What was taken lapses then, unless it is renewed, in milliseconds. */
  untilMs: number;
}

/** What tenants hold over all models: jobs in flight, and money that these are expected to cost. */
export interface TenantQuotas {
  /** The channel on which dispatchers hear that a job of a tenant has ended; the message is the tenant. */
  readonly channel: string;
  /**
   * Holds what it takes for some seconds only: the worker that gets the job renews it.
   * @param options.dry takes nothing.
   */
  take(
    tenant: string,
    jobs: readonly { id: string; costNano: number }[],
    options: { maxInFlight: number | undefined; dry?: boolean },
  ): Promise<TenantTaken>;
  /** Of jobs that were not started after all; nobody is told. @param untilMs as `take` has said. */
  giveBack(tenant: string, ids: readonly string[], untilMs: number): Promise<void>;
  /** `running`: as for `Quota`. */
  renew(tenant: string, jobs: readonly { id: string; running: boolean }[]): Promise<void>;
  /** A job has ended. */
  release(tenant: string, id: string): Promise<void>;
}

export function createTenantQuotas(redis: RedisClient, prefix: string): TenantQuotas {
  const leases = (tenant: string): string => `${prefix}:tenant:{tenant ${tenant}}:leases`;
  const costs = (tenant: string): string => `${prefix}:tenant:{tenant ${tenant}}:costs`;
  const channel = `${prefix}:tenant-released`;
  return {
    channel,
    async take(tenant, jobs, { maxInFlight, dry = false }) {
      const reply = await tenantTakeScript.run(
        redis,
        [leases(tenant), costs(tenant)],
        [maxInFlight ?? '', dry ? '' : STARTING_MS, ...jobs.flatMap(({ id, costNano }) => [id, costNano])],
      );
      const [reserved, untilMs, ...answers] = reply as [string, number, ...(0 | 1)[]];
      return {
        answers: answers.map((answer) => (answer === 1 ? 'taken' : 'held')),
        reservedNano: Number(reserved),
        untilMs,
      };
    },
    async giveBack(tenant, ids, untilMs) {
      if (ids.length > 0)
        await tenantGiveBackScript.run(redis, [leases(tenant), costs(tenant)], [untilMs, ...ids]);
    },
    async renew(tenant, jobs) {
      if (jobs.length === 0) return;
      const values = jobs.flatMap(({ id, running }) => [id, running ? RUNNING_LEASE_MS : LEASE_MS]);
      await tenantRenewScript.run(redis, [leases(tenant)], values);
    },
    async release(tenant, id) {
      await tenantReleaseScript.run(redis, [leases(tenant), costs(tenant)], [channel, tenant, id]);
    },
  };
}
