import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import OpenAI from 'openai';
import { Agent, fetch as fetchOverTls } from 'undici';
import { O3Client } from '../../src/client/o3-client.ts';
import { CERTIFICATE } from '../support/http/certificate.ts';
import { callTool, connectMcp, type Told } from '../support/http/mcp-clients.ts';
import { sayMissing } from '../support/process/apt-package.ts';
import { describeInChromium } from '../support/process/chromium.ts';
import { NGINX, type Nginx, nginxOrInstall, startNginx } from '../support/process/nginx.ts';
import { TIME_LIMIT_MS } from '../support/time-limit.ts';
import { type Instance, startInstance } from '../support/worlds/instance.ts';

const PATIENCE_MS = 3 * TIME_LIMIT_MS;
const ADMIN = 'the-key-of-the-administrator';
const MB = 1024 ** 2;
/** The shortened time after which nginx gives up without a byte, and that of an answer. */
const READ_TIMEOUT_MS = 3000;
const ANSWER_MS = 4500;
const nginx = nginxOrInstall();

describeInChromium('an instance under a path, behind nginx with the shipped file', (windows) => {
  if (nginx.kind === 'missing') {
    it('needs nginx', () => sayMissing(NGINX, 'an instance behind nginx', nginx.reason));
    return;
  }
  let instance: Instance;
  let proxy: Nginx;
  let app: Server;
  let url: string;
  let client: O3Client;
  beforeAll(async () => {
    app = createServer((_request, response) =>
      response.setHeader('content-type', 'text/html').end('<p>The app'),
    );
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
    instance = await startInstance({
      keys: [{ name: 'admin', secret: ADMIN }],
      http: { basePath: '/o3q', trustProxy: ['loopback'], corsOrigins: [appOrigin()] },
      headersMs: 300,
      keepAliveMs: 300,
    });
    proxy = await startNginx(nginx.path, instance.url);
    url = `${proxy.origin}/o3q`;
    client = new O3Client({ url, apiKey: ADMIN });
  });
  afterAll(async () => {
    await proxy.stop();
    await instance.stop();
    await new Promise((resolve) => app.close(resolve));
  });
  const appOrigin = (): string => `http://127.0.0.1:${(app.address() as AddressInfo).port}`;

  it('shows its pages, its board and its documentation after the login', async () => {
    const { id } = await client.enqueue({ question: 'What is behind nginx?' });
    const { page, foreign, complaints } = await windows.visit(`${url}/console/jobs/${id}`, PATIENCE_MS);
    expect(page.url()).toContain(`${url}/login`);
    await page.getByLabel('Your key').fill(ADMIN);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.waitForURL(`${url}/console/jobs/${id}`);
    // A script of the page has followed the events of the job up to its end.
    await page.locator('.badge', { hasText: 'completed' }).waitFor();
    for (const [name, heading] of [
      ['Jobs', 'Jobs'],
      ['Failures', 'Failures'],
      ['Now', 'Now'],
    ] as const) {
      await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name, exact: true }).click();
      await page.getByRole('heading', { name: heading, exact: true }).waitFor();
    }
    await page.getByRole('link', { name: 'API' }).click();
    await page.getByText('Enqueue').first().waitFor();
    await page.goto(`${url}/board/queue/o3/${id}`);
    await page.getByRole('heading', { name: 'completed · What is behind nginx?' }).waitFor();
    expect({ foreign, complaints }).toEqual({ foreign: [], complaints: [] });
  });

  it('streams a job to a page of another origin, by EventSource and by fetch', async () => {
    const { id } = await client.enqueue({
      question: 'Who else reads this?',
      metadata: { sim_think_ms: '500' },
    });
    const { events_url: address } = await client.eventsToken(id);
    expect(address).toMatch(new RegExp(`^${url}/jobs/${id}/events\\?token=`));
    const { page, complaints } = await windows.visit(appOrigin(), PATIENCE_MS);
    const heard = await page.evaluate(
      (source) =>
        new Promise<string[]>((resolve, reject) => {
          const events = new EventSource(source);
          const types: string[] = [];
          for (const type of ['status', 'delta', 'done']) {
            events.addEventListener(type, () => {
              types.push(type);
              if (type !== 'done') return;
              events.close();
              resolve(types);
            });
          }
          events.addEventListener('error', () => reject(new Error('no connection')));
        }),
      address,
    );
    expect(heard).toContain('delta');
    const streamed = await page.evaluate(
      async ([base, key]) => {
        const response = await fetch(`${base}/v1/responses`, {
          method: 'POST',
          headers: {
            authorization: `Bearer ${key}`,
            'content-type': 'application/json',
            'x-stainless-lang': 'js',
          },
          body: JSON.stringify({ model: 'o3', input: 'And this?', stream: true }),
        });
        return { text: await response.text(), id: response.headers.get('x-request-id') };
      },
      [url, ADMIN],
    );
    expect(streamed).toEqual({
      text: expect.stringContaining('event: response.completed'),
      id: expect.stringMatching(/^req_/),
    });
    expect(complaints).toEqual([]);
    expect(proxy.accessLog()).toContain(`/o3q/jobs/${id}/events/token `);
    expect(proxy.accessLog()).not.toContain('token=');
  });

  it('tells an agent over MCP how its wait goes while it goes', async () => {
    const agent = await connectMcp(url, { key: ADMIN });
    const { id } = await client.enqueue({
      question: 'Who stops this?',
      metadata: { sim_think_ms: '3600000' },
    });
    let cancelled: Promise<Told> | undefined;
    const waited = await callTool(
      agent,
      'get_o3_result',
      { id, wait_s: 50 },
      {
        onprogress: () => {
          cancelled ??= callTool(agent, 'cancel_o3', { id });
        },
      },
    );
    expect(waited).toMatchObject({ isError: true, text: expect.stringContaining(`${id} was cancelled`) });
    expect(await cancelled).toMatchObject({ isError: false });
    await agent.close();
  });

  it('keeps a foreground call alive for longer than nginx waits for a byte', async () => {
    const impatient = await startNginx(nginx.path, instance.url, `${READ_TIMEOUT_MS}ms`);
    const openai = new OpenAI({ baseURL: `${impatient.origin}/o3q/v1`, apiKey: ADMIN, maxRetries: 0 });
    const startedAt = performance.now();
    const { status } = await openai.responses.create({
      model: 'o3',
      input: 'How long does it take?',
      metadata: { sim_think_ms: String(ANSWER_MS) },
    });
    expect(status).toBe('completed');
    expect(performance.now() - startedAt).toBeGreaterThan(READ_TIMEOUT_MS);
    await impatient.stop();
  });

  it('opens neither metrics nor scaling, tells browsers to stay with TLS, and makes the cookie Secure', async () => {
    const dispatcher = new Agent({ connect: { ca: CERTIFICATE } });
    const secure = `${proxy.secureOrigin}/o3q`;
    for (const path of ['/metrics', '/scaling', '/Scaling/', '/%6detrics'])
      expect({ path, status: (await fetchOverTls(`${secure}${path}`, { dispatcher })).status }).toEqual({
        path,
        status: 404,
      });
    const { status, headers } = await fetchOverTls(`${secure}/login`, {
      ...{ dispatcher, method: 'POST', redirect: 'manual', body: new URLSearchParams({ key: ADMIN }) },
    });
    expect({ status, hsts: headers.get('strict-transport-security') }).toEqual({
      ...{ status: 303, hsts: 'max-age=31536000' },
    });
    expect(headers.getSetCookie()).toEqual(expect.arrayContaining([expect.stringMatching(/; secure/i)]));
    await dispatcher.close();
  });

  it('compresses long answers', async () => {
    const headers = { authorization: `Bearer ${ADMIN}`, 'accept-encoding': 'gzip' };
    const answer = await fetch(`${url}/openapi.json`, { headers });
    expect(answer.headers.get('content-encoding')).toBe('gzip');
    expect(await answer.json()).toMatchObject({ openapi: expect.any(String) });
  });

  it('takes a body of 20 MB', async () => {
    const { id } = await client.enqueue({ question: 'a'.repeat(20 * MB), delay_ms: 3_600_000 });
    expect(await client.cancel(id)).toMatchObject({ status: 'cancelled' });
  });
});
