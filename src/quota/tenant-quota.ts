import type { RedisClient } from '../redis/connection.ts';
import { LEASE_MS } from './quota.ts';
import { tenantReleaseScript, tenantRenewScript, tenantTakeScript } from './scripts/tenant.ts';

/** What tenants hold over all models: jobs in flight, and money that these are expected to cost. */
export interface TenantQuotas {
  /** The channel on which dispatchers hear that a job of a tenant has ended; the message is the tenant. */
  readonly channel: string;
  /** @returns undefined when there are too many, else what is reserved in all, this one included, in nano-dollars. */
  take(
    tenant: string,
    id: string,
    options: { maxInFlight: number | undefined; costNano: number },
  ): Promise<number | undefined>;
  renew(tenant: string, ids: readonly string[]): Promise<void>;
  release(tenant: string, id: string): Promise<void>;
}

export function createTenantQuotas(redis: RedisClient, prefix: string): TenantQuotas {
  const leases = (tenant: string): string => `${prefix}:tenant:{tenant ${tenant}}:leases`;
  const costs = (tenant: string): string => `${prefix}:tenant:{tenant ${tenant}}:costs`;
  const channel = `${prefix}:tenant-released`;
  return {
    channel,
    async take(tenant, id, { maxInFlight, costNano }) {
      const reply = await tenantTakeScript.run(
        redis,
        [leases(tenant), costs(tenant)],
        [maxInFlight ?? '', LEASE_MS, id, costNano],
      );
      const [taken, reserved] = reply as [0 | 1, string];
      return taken === 1 ? Number(reserved) : undefined;
    },
    async renew(tenant, ids) {
      if (ids.length > 0) await tenantRenewScript.run(redis, [leases(tenant)], [LEASE_MS, ...ids]);
    },
    async release(tenant, id) {
      await tenantReleaseScript.run(redis, [leases(tenant), costs(tenant)], [channel, tenant, id]);
    },
  };
}
