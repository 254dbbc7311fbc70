import { createPage, escaped, type Page } from './page.ts';

export const LOGIN_PATH = '/login';
export const LOGOUT_PATH = '/logout';

/**
 * loginPage is the form on which a browser logs in.
 *
 * @param basePath the path under which browsers reach the instance; see `serveAt`.
 * @param next the path of this instance that the browser wanted to open.
 */
export function loginPage(basePath: string, next: string, refusal?: string): Page {
  return createPage(
    'Log in',
    `${refusal === undefined ? '' : `<p class="refused" role="alert">${escaped(refusal)}</p>`}
<form method="post" action="${basePath}${LOGIN_PATH}">
<input type="hidden" name="next" value="${escaped(next)}">
<label>Your key<input type="password" name="key" autocomplete="current-password" required autofocus></label>
<button type="submit">Log in</button>
</form>`,
  );
}

export function loggedInPage(basePath: string, tenant: string): Page {
  return createPage(
    `Logged in as ${tenant}`,
    `<p><a href="${basePath}/">Your jobs</a></p>
${logoutForm(basePath)}`,
  );
}

/**
 * noBoardPage tells a tenant that the board is for admin: Bull Board cannot show the jobs of one tenant only.
 */
export function noBoardPage(basePath: string, tenant: string): Page {
  return createPage(
    'The board is for admin',
    `<p>The board shows the jobs of all tenants. You are logged in as ${escaped(tenant)}: see <a href="${basePath}/">your own jobs</a>.</p>
${logoutForm(basePath)}`,
  );
}

function logoutForm(basePath: string): string {
  return `<form method="post" action="${basePath}${LOGOUT_PATH}"><button type="submit">Log out</button></form>`;
}

/**
 * ownPath returns the path if it belongs to this instance, else `/`: a link to the login page may contain any
 * address.
 */
export function ownPath(next: unknown): string {
  const base = 'http://instance.invalid';
  if (typeof next !== 'string' || next.length > 2000 || !next.startsWith('/') || !URL.canParse(next, base)) {
    return '/';
  }
  const { origin, pathname, search, hash } = new URL(next, base);
  // The URL parser reads a path as a browser does: `/\host`, `/⇥/host` and `/.//host` all become `//host`.
  return origin === base && !pathname.startsWith('//') ? `${pathname}${search}${hash}` : '/';
}
