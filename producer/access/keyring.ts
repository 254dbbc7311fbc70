import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { ADMIN, type ApiKey } from '../../src/config/api-keys.ts';
import type { Caller } from '../../src/job/tenant.ts';

/** Keyring finds callers by their keys. */
export interface Keyring {
  /**
   * Finds the caller with this secret. The search takes equally long for every secret, so its duration
   * reveals nothing.
   */
  callerOf(secret: string): Caller | undefined;
  callerNamed(tenant: string): Caller | undefined;
  /** Returns the key that signs the sessions of this tenant; undefined when the tenant has no key. */
  signingKeyOf(tenant: string): Buffer | undefined;
}

export function createKeyring(keys: readonly ApiKey[]): Keyring {
  const entries = keys.map(({ name, secret }) => ({
    caller: { tenant: name, admin: name === ADMIN } satisfies Caller,
    digest: digestOf(secret),
    // Signing has its own derived key, so that a signature reveals nothing about the digest of the secret.
    signingKey: createHmac('sha256', secret).update('o3-queue session').digest(),
  }));
  const named = new Map(entries.map((entry) => [entry.caller.tenant, entry]));
  return {
    callerOf(secret) {
      const digest = digestOf(secret);
      let found: Caller | undefined;
      // Always compares all keys: an early exit would reveal the position of the key in the list.
      for (const entry of entries) if (timingSafeEqual(entry.digest, digest)) found = entry.caller;
      return found;
    },
    callerNamed: (tenant) => named.get(tenant)?.caller,
    signingKeyOf: (tenant) => named.get(tenant)?.signingKey,
  };
}

/** digestOf hashes a secret, because the comparison needs values of equal length. */
function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
