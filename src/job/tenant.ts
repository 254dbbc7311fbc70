/** Caller is the sender of a request, identified by its API key. */
export interface Caller {
  /** The tenant that owns the jobs that the caller enqueues. */
  readonly tenant: string;
  /** Whether the caller sees the jobs of all tenants. */
  readonly admin: boolean;
}

/** TENANT_NAME is what a tenant may be called: names are part of Redis keys and of URLs. */
export const TENANT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * NO_TENANT stands for no tenant in Redis, in the worker and in the fair queue: the job was enqueued without
 * an API key.
 */
export const NO_TENANT = '';

/** tenantInView returns a tenant as views show it: null for `NO_TENANT`. */
export function tenantInView(tenant: string): string | null {
  return tenant === NO_TENANT ? null : tenant;
}
