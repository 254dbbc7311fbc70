import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { ADMIN, type ApiKey } from '../../src/config/api-keys.ts';
import type { Caller } from '../../src/job/tenant.ts';

/** Who has which key. */
export interface Keyring {
  /** Whose secret this is. Takes as long for a secret that is nearly right as for one that is not. */
  callerOf(secret: string): Caller | undefined;
  callerNamed(tenant: string): Caller | undefined;
  /** What the sessions that were opened with this tenant's key are signed with; undefined for who has no key. */
  signingKeyOf(tenant: string): Buffer | undefined;
}

export function createKeyring(keys: readonly ApiKey[]): Keyring {
  const entries = keys.map(({ name, secret }) => ({
    caller: { tenant: name, admin: name === ADMIN } satisfies Caller,
    digest: digestOf(secret),
    // Another use, another key: a signature must not help anybody who looks for the secret's own digest.
    signingKey: createHmac('sha256', secret).update('o3-queue session').digest(),
  }));
  const named = new Map(entries.map((entry) => [entry.caller.tenant, entry]));
  return {
    callerOf(secret) {
      const digest = digestOf(secret);
      let found: Caller | undefined;
      // All of them, always: an early exit would tell where in the list the key stands.
      for (const entry of entries) if (timingSafeEqual(entry.digest, digest)) found = entry.caller;
      return found;
    },
    callerNamed: (tenant) => named.get(tenant)?.caller,
    signingKeyOf: (tenant) => named.get(tenant)?.signingKey,
  };
}

/** Of equal length for secrets of any, as the comparison needs them. */
function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
