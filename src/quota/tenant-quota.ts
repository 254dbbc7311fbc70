import { tenantGiveBack, tenantRenew, tenantReserve, tenantSettle } from '../lua/quota/tenant-limits.ts';
import type { RedisClient } from '../redis/connection.ts';
import { tenantQuotaKeysOf } from './keys.ts';
import { LEASE_MS, RUNNING_LEASE_MS, STARTING_LEASE_MS } from './quota.ts';

/** TenantReserveReply says what `TenantQuotas.reserve` has reserved. */
export interface TenantReserveReply {
  /**
   * For each job that has a slot, in order: `reserved` for a new slot, `taken` for a slot that the job had
   * before.
   */
  answers: ('reserved' | 'taken')[];
  /** The amount that is reserved for all other jobs of the tenant, in nano-dollars. */
  reservedNano: number;
  /** The end of the leases, in Unix milliseconds. */
  untilMs: number;
}

/**
 * TenantQuotas are what tenants have reserved over all models: slots in flight, and the expected cost of the
 * jobs that have them.
 */
export interface TenantQuotas {
  /** The channel on which dispatchers hear that a job of a tenant has ended; the message is the tenant. */
  readonly channel: string;
  /**
   * Reserves slots and cost for some seconds only: the worker that gets the job renews the lease. A response
   * within a completion window needs no slot.
   * @param options.dry reserves nothing, and returns what would be reserved.
   */
  reserve(
    tenant: string,
    jobs: readonly { id: string; costNano: number; isWindowed?: boolean }[],
    options: { maxInFlight: number | undefined; dry?: boolean },
  ): Promise<TenantReserveReply>;
  /**
   * Gives back what was reserved for jobs that were not started. It announces nothing.
   * @param untilMs as `reserve` returned it.
   */
  giveBack(tenant: string, ids: readonly string[], untilMs: number): Promise<void>;
  /**
   * Renews the leases of jobs. `running`: the job's response runs at the upstream, and its lease is much
   * longer.
   */
  renew(
    tenant: string,
    jobs: readonly { id: string; running: boolean; isWindowed?: boolean }[],
  ): Promise<void>;
  /** Ends the reservation of a job that has ended, and announces that its slot is free. */
  settle(tenant: string, id: string): Promise<void>;
}

export function createTenantQuotas(redis: RedisClient, prefix: string): TenantQuotas {
  const keysOf = (tenant: string) => tenantQuotaKeysOf(prefix, tenant);
  const channel = `${prefix}:tenant-released`;
  return {
    channel,
    async reserve(tenant, jobs, { maxInFlight, dry = false }) {
      const reply = await tenantReserve.run(redis, {
        keys: keysOf(tenant),
        args: { maxInFlight: maxInFlight ?? '', leaseMs: dry ? '' : STARTING_LEASE_MS },
        rest: jobs.flatMap(({ id, costNano, isWindowed }) => [id, `${costNano}${isWindowed ? 'w' : ''}`]),
      });
      const [reserved, untilMs, ...answers] = reply as [string, number, ...(0 | 1)[]];
      return {
        answers: answers.map((answer) => (answer === 1 ? 'reserved' : 'taken')),
        reservedNano: Number(reserved),
        untilMs,
      };
    },
    async giveBack(tenant, ids, untilMs) {
      if (ids.length === 0) return;
      await tenantGiveBack.run(redis, { keys: keysOf(tenant), args: { untilMs }, rest: ids });
    },
    async renew(tenant, jobs) {
      if (jobs.length === 0) return;
      const rest = jobs.flatMap(({ id, running, isWindowed }) => [
        id,
        `${running ? RUNNING_LEASE_MS : LEASE_MS}${isWindowed ? 'w' : ''}`,
      ]);
      await tenantRenew.run(redis, { keys: keysOf(tenant), args: {}, rest });
    },
    async settle(tenant, id) {
      await tenantSettle.run(redis, { keys: keysOf(tenant), args: { channel, tenant, id } });
    },
  };
}
