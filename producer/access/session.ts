import { createHmac, timingSafeEqual } from 'node:crypto';
import cookieSession from 'cookie-session';
import type { Request, RequestHandler } from 'express';
import type { Keyring, KnownCaller } from './keyring.ts';

const COOKIE = 'o3q_session';
const SESSION_MS = 12 * 3_600_000;

/**
 * Sessions let a browser send a signed cookie instead of a key. The cookie names the key with which the browser
 * logged in, and when the session ends. It ends earlier when the instance no longer has that key. The producer
 * stores nothing.
 */
export interface Sessions {
  /** Reads and writes the cookie. It must run before the other methods are called. */
  middleware: RequestHandler;
  open(request: Request, caller: KnownCaller): void;
  close(request: Request): void;
  callerOf(request: Request): KnownCaller | undefined;
}

/** @param basePath the path under which browsers reach the instance, and to which they send the cookie. */
export function createSessions(keyring: Keyring, basePath: string): Sessions {
  return {
    // Without `secure` the cookie is Secure exactly when Express knows that the request came by TLS.
    middleware: cookieSession({
      name: COOKIE,
      path: basePath === '' ? '/' : basePath,
      keys: createSigner(keyring),
      maxAge: SESSION_MS,
      httpOnly: true,
      sameSite: 'strict',
    }),
    open(request, { keyId }) {
      request.session = { key: keyId, until: Date.now() + SESSION_MS };
    },
    close(request) {
      request.session = null;
    },
    callerOf(request) {
      const session: Record<string, unknown> = request.session ?? {};
      // The browser deletes an expired cookie, but a thief does not.
      if (typeof session['until'] !== 'number' || session['until'] < Date.now()) return undefined;
      return typeof session['key'] === 'string' ? keyring.keyWith(session['key'])?.caller : undefined;
    },
  };
}

type Signer = Exclude<CookieSessionInterfaces.CookieSessionOptions['keys'], string[] | undefined>;

/**
 * createSigner signs a session with the key that opened it. So changing a key ends the sessions of that key
 * only, and the owner of one key can forge only sessions of that key. With cookie-session's own list of keys
 * for all sessions, any tenant could sign a session of admin.
 */
function createSigner(keyring: Keyring): Signer {
  const sign = (cookie: unknown): string => {
    const key = keyring.keyWith(keyIdIn(String(cookie)))?.sessionKey;
    // A cookie that is being deleted, or whose key the instance no longer has, has no valid signature.
    return key === undefined ? '' : createHmac('sha256', key).update(String(cookie)).digest('base64url');
  };
  const verify = (cookie: unknown, signature: string): boolean => {
    const expected = Buffer.from(sign(cookie));
    const came = Buffer.from(signature);
    return expected.length > 0 && expected.length === came.length && timingSafeEqual(expected, came);
  };
  return { sign, verify, index: (cookie, signature) => (verify(cookie, signature) ? 0 : -1) };
}

/** keyIdIn reads the id of the key from a cookie (`name=base64`). It does not check the signature. */
function keyIdIn(cookie: string): string {
  try {
    const session: unknown = JSON.parse(
      Buffer.from(cookie.slice(COOKIE.length + 1), 'base64').toString('utf8'),
    );
    return typeof session === 'object' && session !== null && 'key' in session ? String(session.key) : '';
  } catch {
    return '';
  }
}
