import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { type Response, Router } from 'express';
import { DOCUMENT_PATH } from '../routes/docs.ts';

export const DOCS_PATH = '/docs';

/** The files of Swagger UI that the page needs; no others are served. */
const FILES = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png'];

/** The page runs only Swagger UI's code, and sends requests only to this instance. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * createDocsPage serves the documentation of the API as a page.
 *
 * @param basePath the path under which browsers reach the instance; see `serveAt`.
 */
export function createDocsPage(basePath: string): Router {
  const router = Router();
  const page = pageAt(`${basePath}${DOCS_PATH}`);
  const start = startOf(`${basePath}${DOCUMENT_PATH}`);
  const send = (response: Response, type: string, text: string) => {
    response.setHeader('content-security-policy', CONTENT_SECURITY_POLICY);
    response.type(type).send(text);
  };
  router.get('/', (_request, response) => send(response, 'html', page));
  router.get('/start.js', (_request, response) => send(response, 'js', start));
  const require = createRequire(import.meta.url);
  const root = dirname(require.resolve('swagger-ui-dist/package.json'));
  for (const file of FILES) router.get(`/${file}`, (_request, response) => response.sendFile(file, { root }));
  return router;
}

function pageAt(path: string): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>o3-queue: the API</title>
    <link rel="icon" href="${path}/favicon-32x32.png">
    <link rel="stylesheet" href="${path}/swagger-ui.css">
  </head>
  <body>
    <main id="api"></main>
    <script src="${path}/swagger-ui-bundle.js"></script>
    <script src="${path}/start.js"></script>
  </body>
</html>
`;
}

/**
 * The script is a file of its own, since the policy forbids scripts inside the page. The validator is off,
 * because it is another company's server. Swagger UI has colours for the dark, but no layout of ours that
 * turns them on.
 */
const startOf = (url: string): string => `const dark = matchMedia('(prefers-color-scheme: dark)');
const follow = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', follow);
follow();
SwaggerUIBundle({
  url: '${url}',
  dom_id: '#api',
  deepLinking: true,
  validatorUrl: null,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
});
`;
