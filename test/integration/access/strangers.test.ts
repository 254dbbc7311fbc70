import type { Router } from 'express';
import { createConsole } from '../../../producer/console/console.ts';
import { responseIdOf } from '../../../src/job/ids/response-id.ts';
import { parseJobRequest } from '../../../src/job/request.ts';
import type { JobView } from '../../../src/job/view.ts';
import { createLogger } from '../../../src/process/log.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { everyRoute } from '../../support/hostile/every-route.ts';
import { type Answer, call } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** What a stranger has written runs on no page, and what one tenant has is on no page of another. */

/** Words that no answer contains by accident. */
const SECRETS = ['cobalt', 'periscope', 'zeppelin'];
const HOSTILE =
  '</script><script>stranger()</script>"><img src=x onerror=stranger()> [cobalt](javascript:stranger()) ' +
  `\u202e\u0007periscope ${'w'.repeat(2000)}`;
const KEYS = ['admin', 'zeppelin', 'bob'].map((name) => ({ name, secret: `the-key-of-${name}` }));
const WEBHOOK_SECRET = `whsec_${Buffer.from('a secret of 24 bytes or more').toString('base64')}`;
/** The queries without which these pages refuse. */
const QUERIES: Record<string, string> = { '/console/selection': '?kind=retry' };

let instance: Instance;
let ids: Record<'id' | 'action' | 'model', string>;
let answered: string;

const as = (key: string, method: string, path: string, body?: unknown): Promise<Answer> =>
  call(instance.url, method, path, {
    headers: {
      authorization: `Bearer the-key-of-${key}`,
      accept: 'text/html',
      'sec-fetch-site': 'same-origin',
      ...(method !== 'GET' && path.startsWith('/console') && body === undefined
        ? { 'content-type': 'application/x-www-form-urlencoded' }
        : {}),
    },
    body,
  });

async function enqueued(more: object): Promise<string> {
  const { status, body } = await as('zeppelin', 'POST', '/jobs?wait=60', {
    question: HOSTILE,
    webhook_url: 'https://periscope.example.com/"><img src=x onerror=stranger()>',
    ...more,
  });
  expect(status).toBe(200);
  return (body as JobView).id;
}

beforeAll(async () => {
  instance = await startInstance({
    keys: KEYS,
    simulator: { answer: () => HOSTILE },
    models: { allowPrivateWebhooks: false },
    webhooksOut: { secret: WEBHOOK_SECRET, retryDelaysMs: [], resolve: async () => ['127.0.0.1'] },
  });
  answered = await enqueued({ metadata: { '"><img src=x onerror=stranger()>': HOSTILE.slice(0, 500) } });
  // The upstream quotes the code in the message of its error.
  const id = await enqueued({ metadata: { sim: 'failed', sim_code: HOSTILE.slice(0, 500) } });
  // Another BullMQ client may give a tenant any name.
  const queue = new InstanceQueue({ redisUrl: instance.redis.url, ...instance.models });
  const stranger = queue.as({ tenant: HOSTILE, admin: false });
  const { job } = await stranger.enqueue(parseJobRequest({ question: HOSTILE, delay_ms: 86_400_000 }));
  await stranger.cancel(job.id);
  const { id: action } = await queue
    .as({ tenant: 'zeppelin', admin: false })
    .actions.start('cancel', { metadata: { note: HOSTILE.slice(0, 500) } });
  await queue.close();
  ids = { id, action, model: 'o3' };
}, 60_000);
afterAll(() => instance.stop());

/** The pages on which admin sees what strangers wrote. */
const SHOWN = new Set(
  ['jobs', 'jobs/:id', 'failures', 'tenants', 'audit', 'actions/:action'].map((name) => `/console/${name}`),
).add('/');

type Found = [method: string, path: string];

/** The routes of a router and of the routers in it. */
function routesIn(router: Router, prefix: string): Found[] {
  return router.stack.flatMap(({ route, handle }): Found[] => {
    if (route !== undefined) {
      const { path, methods } = route as unknown as { path: string; methods: Record<string, boolean> };
      return Object.keys(methods).map((method) => [method.toUpperCase(), `${prefix}${path}`]);
    }
    return 'stack' in handle ? routesIn(handle as unknown as Router, prefix) : [];
  });
}

/** The pages of the console, as its router has them. `/` is outside of `/console`. */
function consoleRoutes(): Found[] {
  const queue = { queues: [], deliveries: undefined } as unknown as InstanceQueue;
  const logger = createLogger({ level: 'silent', secrets: [], pretty: false });
  const router = createConsole(queue, () => queue, logger);
  return routesIn(router, '/console').map(([method, path]) => [method, path === '/console/' ? '/' : path]);
}

const pages = consoleRoutes();
const isRead = ([method]: Found): boolean => method === 'GET';
const pathTo = (path: string): string => {
  const of = path.startsWith('/v1/') ? { ...ids, id: responseIdOf(ids.id) } : ids;
  return `${path.replace(/:(id|action|model)/, (_, name: keyof typeof ids) => of[name])}${QUERIES[path] ?? ''}`;
};

/** Fails if a page has markup that this program does not write, or allows more than its own scripts. */
function expectInert({ headers, body }: Answer): void {
  const policy = String(headers['content-security-policy']);
  expect(policy).toMatch(/^default-src 'none'; script-src 'self' 'sha256-/);
  expect(policy).not.toContain('unsafe');
  const tags = String(body).match(/<[a-z][^>]*>/gi) ?? [];
  expect(tags.length).toBeGreaterThan(10);
  for (const tag of tags) {
    expect(tag).not.toMatch(/^<(img|iframe|object|embed|base)\b|\son\w+\s*=|=\s*"?\s*javascript:/i);
    if (/^<script/i.test(tag))
      expect(tag).toMatch(/ src="\/console\/assets\/|type="importmap"|type="application\/json"/);
  }
}

it('the router has the pages that the console shows', () => {
  const paths = pages.filter(isRead).map(([, path]) => path);
  const named = ['', 'jobs', 'jobs/:id', 'failures', 'cost', 'tenants', 'audit', 'actions/:action', 'ask'];
  expect(paths).toEqual(
    expect.arrayContaining(named.map((name) => (name === '' ? '/' : `/console/${name}`))),
  );
});

it.each(pages.filter(isRead))(
  '%s %s shows what strangers wrote, and runs none of it',
  async (_method, path) => {
    for (const key of ['admin', 'zeppelin']) {
      const answer = await as(key, 'GET', pathTo(path));
      expect(answer.status).toBe(200);
      if (key === 'admin' && SHOWN.has(path)) expect(String(answer.body)).toContain('stranger()');
      if (/^text\/html/.test(String(answer.headers['content-type']))) expectInert(answer);
    }
  },
);

it('the answer of a model runs nothing, as Markdown and as plain text', async () => {
  for (const query of ['', '?view=plain']) {
    const answer = await as('zeppelin', 'GET', `/console/jobs/${answered}${query}`);
    expect(String(answer.body)).toContain('periscope');
    expectInert(answer);
  }
});

const api = everyRoute()
  .filter(({ open }) => open !== true)
  .map(({ method, path }): Found => [method.toUpperCase(), path]);

it.each([...pages, ...api].filter(isRead))('%s %s shows a tenant nothing of another', async (_, path) => {
  const answer = await as('bob', 'GET', pathTo(path));
  const said = JSON.stringify([answer.headers, answer.body]).toLowerCase();
  expect(SECRETS.filter((word) => said.includes(word))).toEqual([]);
  if (/:(id|action)/.test(path)) expect(answer.status).toBe(404);
});

it.each(pages.filter((page) => !isRead(page) && /:/.test(page[1])))(
  '%s %s of a tenant changes nothing of another',
  async (method, path) => {
    const before = await as('zeppelin', 'GET', `/jobs/${ids.id}`);
    const answer = await as('bob', method, pathTo(path));
    expect([403, 404]).toContain(answer.status);
    const said = JSON.stringify(answer.body).toLowerCase();
    expect(SECRETS.filter((word) => said.includes(word))).toEqual([]);
    expect((await as('zeppelin', 'GET', `/jobs/${ids.id}`)).body).toEqual(before.body);
  },
);
