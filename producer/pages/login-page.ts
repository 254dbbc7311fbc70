import { createPage, escaped, type Page } from './page.ts';

export const LOGIN_PATH = '/login';
export const LOGOUT_PATH = '/logout';

/** @param next where the browser wanted to go. */
export function loginPage(next: string, refusal?: string): Page {
  return createPage(
    'Log in',
    `${refusal === undefined ? '' : `<p class="refused" role="alert">${escaped(refusal)}</p>`}
<form method="post" action="${LOGIN_PATH}">
<input type="hidden" name="next" value="${escaped(next)}">
<label>Your key<input type="password" name="key" autocomplete="current-password" required autofocus></label>
<button type="submit">Log in</button>
</form>`,
  );
}

export function loggedInPage(tenant: string): Page {
  return createPage(
    `Logged in as ${tenant}`,
    `<p><a href="/">The first page</a></p>
${LOGOUT_FORM}`,
  );
}

/** For a tenant: Bull Board shows everybody's jobs or none. */
export function noBoardPage(tenant: string): Page {
  return createPage(
    'The board is for admin',
    `<p>It shows everybody's jobs. You are logged in as ${escaped(tenant)}, and these are <a href="/">your own</a>.</p>
${LOGOUT_FORM}`,
  );
}

export const LOGOUT_FORM = `<form method="post" action="${LOGOUT_PATH}"><button type="submit">Log out</button></form>`;

/** A path of this instance, or its first page: whatever else a link to the login page says, it leads nowhere else. */
export function ownPath(next: unknown): string {
  const base = 'http://instance.invalid';
  if (typeof next !== 'string' || next.length > 2000 || !next.startsWith('/') || !URL.canParse(next, base)) {
    return '/';
  }
  const { origin, pathname, search, hash } = new URL(next, base);
  // As the browser would read it: it takes `/\host` and `/⇥/host` for `//host`, and makes that of `/.//host`.
  return origin === base && !pathname.startsWith('//') ? `${pathname}${search}${hash}` : '/';
}
