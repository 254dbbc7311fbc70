/** Who asks, by the API key that came along. */
export interface Caller {
  /** Owns what it enqueues. */
  readonly tenant: string;
  /** Sees everybody's jobs, not its own only. */
  readonly admin: boolean;
}

/** Part of Redis keys and of URLs. */
export const TENANT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
