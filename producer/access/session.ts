import { createHmac, timingSafeEqual } from 'node:crypto';
import cookieSession from 'cookie-session';
import type { Request, RequestHandler } from 'express';
import type { Caller } from '../../src/job/tenant.ts';
import type { Keyring } from './keyring.ts';

const COOKIE = 'o3q_session';
const SESSION_MS = 12 * 3_600_000;

/** What a browser carries instead of a key: who logged in, until when, signed. Nothing is stored here. */
export interface Sessions {
  /** Reads and writes the cookie; to be used before the rest. */
  middleware: RequestHandler;
  open(request: Request, caller: Caller): void;
  close(request: Request): void;
  callerOf(request: Request): Caller | undefined;
}

export function createSessions(keyring: Keyring): Sessions {
  return {
    // `secure` is left out on purpose: the cookie is then Secure wherever the request came by TLS, as far as Express knows.
    middleware: cookieSession({
      name: COOKIE,
      keys: createSigner(keyring),
      maxAge: SESSION_MS,
      httpOnly: true,
      sameSite: 'strict',
    }),
    open(request, { tenant }) {
      request.session = { tenant, until: Date.now() + SESSION_MS };
    },
    close(request) {
      request.session = null;
    },
    callerOf(request) {
      const session: Record<string, unknown> = request.session ?? {};
      // A browser forgets the cookie by itself; whoever has stolen it does not.
      if (typeof session['until'] !== 'number' || session['until'] < Date.now()) return undefined;
      return typeof session['tenant'] === 'string' ? keyring.callerNamed(session['tenant']) : undefined;
    },
  };
}

type Signer = Exclude<CookieSessionInterfaces.CookieSessionOptions['keys'], string[] | undefined>;

/**
 * A session is signed with the key that it was opened with. So a key that is changed ends its own sessions and nobody else's, and
 * who knows one key can make no session but its own: with one list for all, as cookie-session would have it, any tenant could sign itself an admin.
 */
function createSigner(keyring: Keyring): Signer {
  const sign = (cookie: unknown): string => {
    const key = keyring.signingKeyOf(tenantIn(String(cookie)));
    // Of a cookie that is being deleted, or names nobody: no signature is valid.
    return key === undefined ? '' : createHmac('sha256', key).update(String(cookie)).digest('base64url');
  };
  const verify = (cookie: unknown, signature: string): boolean => {
    const expected = Buffer.from(sign(cookie));
    const came = Buffer.from(signature);
    return expected.length > 0 && expected.length === came.length && timingSafeEqual(expected, came);
  };
  return { sign, verify, index: (cookie, signature) => (verify(cookie, signature) ? 0 : -1) };
}

/** Whom a cookie, `name=base64`, claims to be of; the signature decides whether that is true. */
function tenantIn(cookie: string): string {
  try {
    const session: unknown = JSON.parse(
      Buffer.from(cookie.slice(COOKIE.length + 1), 'base64').toString('utf8'),
    );
    return typeof session === 'object' && session !== null && 'tenant' in session
      ? String(session.tenant)
      : '';
  } catch {
    return '';
  }
}
