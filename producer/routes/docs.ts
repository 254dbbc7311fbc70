import { ownVersion } from '../../src/process/own-version.ts';
import type { Route } from '../http/route.ts';
import { openApiDocument } from '../openapi/document.ts';
import { readDocument } from '../openapi/operations/instance.ts';

export const DOCUMENT_PATH = '/openapi.json';

/**
 * documented adds the route of the OpenAPI document to the given routes. The document describes all of them,
 * and itself.
 *
 * @param basePath the path under which callers reach the instance; see `serveAt`.
 */
export function documented(routes: readonly Route[], basePath: string): Route[] {
  let written: Buffer | undefined;
  const all: Route[] = [
    ...routes,
    {
      method: 'get',
      path: DOCUMENT_PATH,
      operation: readDocument,
      async handle() {
        // The document is made at the first request: making it takes about 30 ms, and few processes ever get
        // such a request.
        written ??= Buffer.from(JSON.stringify(openApiDocument(all, ownVersion(), basePath)));
        return { status: 200, json: written };
      },
    },
  ];
  return all;
}
