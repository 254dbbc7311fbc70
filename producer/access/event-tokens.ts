import type { Request } from 'express';
import { jwtVerify, SignJWT } from 'jose';
import type { Key, Keyring, KnownCaller } from './keyring.ts';

/** How long a token opens a stream, in seconds. It stands in addresses, which proxies may write into logs. */
const TOKEN_S = 600;
const ALGORITHM = 'HS256';
const EVENTS = /^\/jobs\/([^/]+)\/events$/;

/** SignedToken is a token and the time at which it expires. */
export interface SignedToken {
  readonly token: string;
  readonly expiresAt: Date;
}

/**
 * EventTokens let a browser's EventSource, which can send no header, read the events of one job. A token is a
 * JWT, signed with a key that is derived from the caller's own. So each producer with the same `O3Q_KEYS`
 * knows it, nothing is stored, and it ends when that key is removed or changed.
 */
export interface EventTokens {
  /** Makes a token for the events of one job, as this caller sees them. */
  sign(caller: KnownCaller, jobId: string): Promise<SignedToken>;
  /** Returns the caller whose token this is; undefined when it does not open the events of this job now. */
  callerOf(token: string, jobId: string): Promise<KnownCaller | undefined>;
}

export function createEventTokens(keyring: Keyring): EventTokens {
  const keyWith = (id: string | undefined): Key => {
    const key = keyring.keyWith(id ?? '');
    if (key === undefined) throw new Error('the instance no longer has this key');
    return key;
  };
  return {
    async sign({ keyId }, jobId) {
      const expiresAt = new Date(Math.floor(Date.now() / 1000 + TOKEN_S) * 1000);
      const token = await new SignJWT()
        .setProtectedHeader({ alg: ALGORITHM, kid: keyId })
        .setAudience(audienceOf(jobId))
        .setExpirationTime(expiresAt)
        .sign(keyWith(keyId).eventsKey);
      return { token, expiresAt };
    },
    async callerOf(token, jobId) {
      try {
        const rules = { algorithms: [ALGORITHM], audience: audienceOf(jobId), requiredClaims: ['exp'] };
        const keyOf = ({ kid }: { kid?: string }) => keyWith(kid).eventsKey;
        const { protectedHeader } = await jwtVerify(token, keyOf, rules);
        return keyWith(protectedHeader.kid).caller;
      } catch {
        return undefined;
      }
    },
  };
}

/** The audience is the one path that a token opens. */
function audienceOf(jobId: string): string {
  return `/jobs/${jobId}/events`;
}

/** eventTokenIn returns the token of a request for a job's events; undefined for all other requests. */
export function eventTokenIn({ method, path, query }: Request): { token: string; jobId: string } | undefined {
  const [, jobId] = (method === 'GET' && EVENTS.exec(path)) || [];
  const token = jobId === undefined ? undefined : query['token'];
  return jobId === undefined || typeof token !== 'string' ? undefined : { token, jobId };
}
