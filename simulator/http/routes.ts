import { unauthorized, unknownUrl } from '../api/errors.ts';
import type { Account } from '../request/account.ts';
import { controlRoutes } from './control-routes.ts';
import { createResponse } from './create-route.ts';
import { compact, countTokens } from './direct-routes.ts';
import {
  cancelResponse,
  deleteResponse,
  inputItems,
  type LookupDeps,
  retrieveResponse,
} from './lookup-routes.ts';
import type { CreateDeps } from './purchase.ts';
import type { Reply } from './reply.ts';

type Call = {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly authorization: string | undefined;
  readonly account: Account;
  readonly readJson: () => Promise<unknown>;
};

type Handler = (call: Call, id: string) => Reply | Promise<Reply>;
type Route = readonly [method: string, path: RegExp, handler: Handler];

/** Router answers a call with a reply. It throws an ApiError for a refusal. */
export type Router = (call: Call) => Promise<Reply>;

const CREATE_PATH = /^\/v1\/responses\/?$/;

export function createRouter(deps: CreateDeps & LookupDeps): Router {
  const routes = [
    ...createRoutes(deps),
    ...(deps.settings.background === 'supported' ? lookupRoutes(deps) : []),
    ...controlRoutes(deps),
  ];
  const dispatch = (call: Call): Reply | Promise<Reply> => {
    if (call.path.startsWith('/v1/') && deps.outages.isDown()) return { kind: 'reset', run: undefined };
    checkKey(call.authorization, deps.settings.apiKey);
    for (const [method, path, handler] of routes) {
      if (method !== call.method) continue;
      const match = path.exec(call.path);
      if (match) return handler(call, match[1] ?? '');
    }
    throw unknownUrl(call.method, call.path);
  };
  return async (call) => {
    const isCreate = call.method === 'POST' && CREATE_PATH.test(call.path);
    let isPurchase = false;
    try {
      const reply = await dispatch(call);
      isPurchase =
        reply.kind !== 'html' && reply.kind !== 'odd' && !('run' in reply && reply.run === undefined);
      return reply;
    } finally {
      if (isCreate && !isPurchase) deps.ledger.count('rejected');
    }
  };
}

function createRoutes(deps: CreateDeps): Route[] {
  const { models } = deps.settings;
  const create: Handler = async ({ readJson, account }) => createResponse(await readJson(), account, deps);
  return [
    ['POST', CREATE_PATH, create],
    [
      'POST',
      /^\/v1\/responses\/input_tokens\/?$/,
      async ({ readJson, account }) => countTokens(await readJson(), account, deps),
    ],
    [
      'POST',
      /^\/v1\/responses\/compact\/?$/,
      async ({ readJson, account }) => compact(await readJson(), account, deps),
    ],
    ['GET', /^\/v1\/models\/?$/, () => json(models.list())],
    ['GET', /^\/v1\/models\/([^/]+)\/?$/, (_call, id) => json(models.describe(id))],
  ];
}

function lookupRoutes(deps: LookupDeps): Route[] {
  const of = (account: Account): LookupDeps => ({ ...deps, store: deps.store.of(account) });
  return [
    [
      'GET',
      /^\/v1\/responses\/([^/]+)\/?$/,
      ({ query, account }, id) => retrieveResponse(id, query, of(account)),
    ],
    ['DELETE', /^\/v1\/responses\/([^/]+)\/?$/, ({ account }, id) => deleteResponse(id, of(account))],
    ['POST', /^\/v1\/responses\/([^/]+)\/cancel\/?$/, ({ account }, id) => cancelResponse(id, of(account))],
    [
      'GET',
      /^\/v1\/responses\/([^/]+)\/input_items\/?$/,
      ({ query, account }, id) => inputItems(id, query, of(account)),
    ],
  ];
}

function checkKey(authorization: string | undefined, apiKey: string | undefined): void {
  if (apiKey === undefined || authorization === `Bearer ${apiKey}`) return;
  if (authorization !== undefined) {
    throw unauthorized('Incorrect API key provided.', { code: 'invalid_api_key' });
  }
  throw unauthorized(
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
  );
}

function json(body: object): Reply {
  return { kind: 'json', body };
}
