import type { Express, RequestHandler, Response } from 'express';

/**
 * serveAt makes an app answer under a path, as behind a proxy that shares its host with other servers. Routes
 * see every path without it, whether the proxy has removed it or not, and answers name every path with it.
 *
 * @param basePath the path as browsers see it, with no slash at its end; '' for the top of the host.
 */
export function serveAt(app: Express, basePath: string): void {
  app.locals['basePath'] = basePath;
  if (basePath !== '') app.use(withoutPath(basePath));
}

function withoutPath(basePath: string): RequestHandler {
  return (request, _response, next) => {
    const { url } = request;
    const [rest, end] = [url.slice(basePath.length), url.charAt(basePath.length)];
    if (url.startsWith(basePath) && (end === '' || end === '/' || end === '?')) {
      request.url = end === '/' ? rest : `/${rest}`;
    }
    next();
  };
}

/** basePathOf returns the path under which the app of a response is reached; '' for the top of the host. */
export function basePathOf({ app }: Response): string {
  return app.locals['basePath'] as string;
}

/**
 * addressOf returns the address of a path of this instance, as browsers see it. Every link, redirect and
 * `Location` is made with it, or on pages with `Link` and `Form` (console/parts.tsx).
 */
export function addressOf(response: Response, path: string): string {
  return `${basePathOf(response)}${path}`;
}

/** redirectTo sends a browser to a path of this instance, which it gets with GET. */
export function redirectTo(response: Response, path: string): void {
  response.redirect(303, addressOf(response, path));
}
