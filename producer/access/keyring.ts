import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { derived } from '../../src/async/derived.ts';
import { ADMIN, type ApiKey } from '../../src/config/api-keys.ts';
import type { Config } from '../../src/config/environment.ts';
import type { Caller } from '../../src/job/tenant.ts';

/** KnownCaller is a caller that was identified by one of its keys. */
export interface KnownCaller extends Caller {
  /** The id of that key. A name may have two keys while one of them is being changed. */
  readonly keyId: string;
}

/** Key is a key of the instance, with what is derived from its secret. */
export interface Key {
  readonly caller: KnownCaller;
  /** Signs the sessions of browsers that have logged in with this key. */
  readonly sessionKey: Buffer;
  /** Signs the tokens of events. */
  readonly eventsKey: Buffer;
}

/** Keyring finds callers by their keys. Its keys may change. */
export interface Keyring {
  /**
   * Finds the caller with this secret. The search takes equally long for every secret, so its duration
   * reveals nothing.
   */
  callerOf(secret: string): KnownCaller | undefined;
  /** Returns the key with this id; undefined when the instance no longer has it. */
  keyWith(id: string): Key | undefined;
}

export function createKeyring(settings: Pick<Config, 'keys'>): Keyring {
  const ring = derived(
    () => settings.keys,
    (keys) => {
      const entries = keys.map((key) => ({ ...keyFrom(key), digest: digestOf(key.secret) }));
      return { entries, byId: new Map(entries.map((entry) => [entry.caller.keyId, entry])) };
    },
  );
  return {
    callerOf(secret) {
      const digest = digestOf(secret);
      let found: KnownCaller | undefined;
      // Always compares all keys: an early exit would reveal the position of the key in the list.
      for (const entry of ring().entries) if (timingSafeEqual(entry.digest, digest)) found = entry.caller;
      return found;
    },
    keyWith: (id) => ring().byId.get(id),
  };
}

/** The characters of a digest in the id of a key. They reveal nothing about a secret that cannot be guessed. */
const ID_LENGTH = 11;

/** Each use has its own derived key, so that no signature of one use is valid for another. */
function keyFrom({ name, secret }: ApiKey): Key {
  const derivedFor = (use: string) => createHmac('sha256', secret).update(`o3-queue ${use}`);
  const keyId = `${name}:${derivedFor('key id').digest('base64url').slice(0, ID_LENGTH)}`;
  return {
    caller: { tenant: name, admin: name === ADMIN, keyId },
    sessionKey: derivedFor('session').digest(),
    eventsKey: derivedFor('events').digest(),
  };
}

/** digestOf hashes a secret, because the comparison needs values of equal length. */
function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
