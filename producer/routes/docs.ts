import { ownVersion } from '../../src/process/own-version.ts';
import type { Route } from '../http/route.ts';
import { openApiDocument } from '../openapi/document.ts';
import { readDocument } from '../openapi/operations/instance.ts';

export const DOCUMENT_PATH = '/openapi.json';

/** These routes, and one more that tells of them all, itself included. */
export function documented(routes: readonly Route[]): Route[] {
  let written: Buffer | undefined;
  const all: Route[] = [
    ...routes,
    {
      method: 'get',
      path: DOCUMENT_PATH,
      operation: readDocument,
      async handle() {
        // Not before somebody asks: it is some 30 ms of work, and few processes ever are.
        written ??= Buffer.from(JSON.stringify(openApiDocument(all, ownVersion())));
        return { status: 200, json: written };
      },
    },
  ];
  return all;
}
