import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { gzipSync } from 'node:zlib';
import { loadAssets } from '../../../producer/console/assets.ts';
import type { ApiKey } from '../../../src/config/api-keys.ts';
import type { JobView } from '../../../src/job/view.ts';
import { eventually } from '../../support/eventually.ts';
import { type Answer, type CallOptions, call, enqueue, reached } from '../../support/http/http-calls.ts';
import { openWebhookReceiver } from '../../support/http/webhook-receiver.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const HOSTILE = `</script><script>alert(1)</script><img src=x onerror=alert(1)>`;
const KEYS: ApiKey[] = [
  { name: 'admin', secret: 'the-key-of-the-administrator' },
  { name: 'alice', secret: 'the-key-of-alice-1234' },
  { name: 'bob', secret: 'the-key-of-bob-123456' },
];
const WEBHOOK_SECRET = `whsec_${Buffer.from('a key of thirty-two bytes, or so').toString('base64')}`;
const MOST_SCRIPT_BYTES = 60_000;

describe('the page of a job', () => {
  let instance: Instance;
  beforeAll(async () => {
    instance = await startInstance({
      simulator: { answer: () => `# The answer\n\n${HOSTILE}` },
      webhooksOut: { secret: WEBHOOK_SECRET, retryDelaysMs: [10] },
    });
  });
  afterAll(() => instance.stop());

  const page = (path: string): Promise<Answer> =>
    call(instance.url, 'GET', path, { headers: { accept: 'text/html' } });
  const press = (id: string, action: string, body?: string): Promise<Answer> =>
    call(instance.url, 'POST', `/console/jobs/${id}/${action}`, {
      ...(body !== undefined && { body }),
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' },
    });

  it('shows question, answer and request without scripts, and no HTML of any of them', async () => {
    const { id } = await enqueue(instance.url, {
      question: `Why? ${HOSTILE}`,
      metadata: { note: HOSTILE },
    });
    await reached(instance.url, id, 'completed');
    const { status, headers, body } = await page(`/console/jobs/${id}`);
    expect(status).toBe(200);
    const html = String(body);
    expect(html).toContain('<title>✓ completed · Why? ');
    expect(html).toContain('<h1>The answer</h1>');
    expect(html).not.toMatch(/<script>|<img/);
    // Each script of the page is a file of ours, the import map, or data.
    for (const [tag] of html.matchAll(/<script[^>]*>/g)) {
      expect(tag).toMatch(/ src="\/console\/assets\/|type="importmap"|type="application\/json"/);
    }
    expect(headers['content-security-policy']).toMatch(
      /^default-src 'none'; script-src 'self' 'sha256-\S+'; /,
    );
    expect(headers['content-security-policy']).not.toContain('unsafe');
  });

  it('names the agent that asked, without HTML in its name, and leads to its jobs', async () => {
    const later = { question: 'Tomorrow?', delay_ms: 86_400_000 };
    const shown = async (metadata: Record<string, string>): Promise<string> => {
      const { id } = await enqueue(instance.url, { ...later, metadata });
      return String((await page(`/console/jobs/${id}`)).body);
    };
    const html = await shown({ agent: `coder ${HOSTILE}` });
    expect(html).toContain('>agent=coder &lt;/script>');
    expect(html).not.toMatch(/<script>|<img/);
    expect(await shown({})).not.toContain('metadata%5B');

    const { id } = await enqueue(instance.url, { ...later, metadata: { agent: 'coder', team: 'a & b' } });
    const [path = ''] =
      /\/console\/jobs\?metadata%5Bteam%5D=[^"]+/.exec(String((await page(`/console/jobs/${id}`)).body)) ??
      [];
    const list = String((await page(path)).body);
    expect(list).toContain(`/console/jobs/${id}`);
    expect(list).toContain('>agent=coder</a> · <a');
    expect(list).not.toContain('No agent');
  });

  it('shows the answer as it came when asked for plain text', async () => {
    const { id } = await enqueue(instance.url, { question: 'Plain?' });
    await reached(instance.url, id, 'completed');
    expect(String((await page(`/console/jobs/${id}?view=plain`)).body)).toContain('# The answer\n\n&lt;');
  });

  it('says what a waiting job waits for', async () => {
    const { id } = await enqueue(instance.url, { question: 'Tomorrow?', delay_ms: 86_400_000 });
    const html = String((await page(`/console/jobs/${id}`)).body);
    expect(html).toContain('◷ delayed');
    expect(html).toMatch(/Waits for [^<]+, until <time datetime=/);
  });

  it('says why a job failed, what ended each attempt, and the words of the upstream', async () => {
    const { id } = await enqueue(instance.url, {
      question: 'Again and again?',
      max_attempts: 2,
      metadata: { sim: '500' },
    });
    await reached(instance.url, id, 'failed');
    const html = String((await page(`/console/jobs/${id}`)).body);
    expect(html).toMatch(/<code>upstream_error<\/code>: /);
    expect(html).toContain('2 of 2');
    expect(html).toMatch(/Attempt 2 began: /);
    expect(html).toContain("The upstream's own words");
  });

  it('cancels, retries, asks again and deletes by its forms', async () => {
    const { id } = await enqueue(instance.url, { question: 'Which?', metadata: { sim: 'stuck_queued' } });
    await reached(instance.url, id, 'active');
    expect(await press(id, 'cancel')).toMatchObject({
      status: 303,
      headers: { location: `/console/jobs/${id}` },
    });
    await reached(instance.url, id, 'cancelled');
    expect(await press(id, 'retry')).toMatchObject({ status: 303 });
    await reached(instance.url, id, 'active');
    await press(id, 'cancel');
    await reached(instance.url, id, 'cancelled');

    const again = await press(id, 'ask-again', 'model=o3');
    expect(again).toMatchObject({ status: 303 });
    const other = String(again.headers['location']).split('/').pop() ?? '';
    expect(other).not.toBe(id);
    const { body } = await call(instance.url, 'GET', `/jobs/${other}`);
    expect(body).toMatchObject({ id: other, question: 'Which?', model: 'o3' });
    await press(other, 'cancel');

    expect(await press(id, 'delete')).toMatchObject({ status: 303, headers: { location: '/console/jobs' } });
    expect(await page(`/console/jobs/${id}`)).toMatchObject({ status: 404 });
  });

  it('shows how far the webhook of a job has come, without what its query may tell', async () => {
    const receiver = await openWebhookReceiver((n) => (n === 0 ? 503 : 200));
    try {
      const url = `${receiver.url}?token=s3cret`;
      const later = await enqueue(instance.url, {
        question: 'Later?',
        delay_ms: 86_400_000,
        webhook_url: url,
      });
      const shown = async (id: string): Promise<string> => String((await page(`/console/jobs/${id}`)).body);
      expect(await shown(later.id)).toContain('<dd>when the job has ended</dd>');

      const { id } = await enqueue(instance.url, { question: 'Heard?', webhook_url: url });
      await eventually(async () => {
        const html = await shown(id);
        expect(html).toContain('<dd>✓ delivered</dd>');
        expect(html).toContain('<dt>Tries</dt><dd>2</dd>');
        expect(html).toContain(`<code>${receiver.url}?…</code>`);
        expect(html).not.toContain('s3cret');
      });
      expect(receiver.received).toHaveLength(2);
    } finally {
      await receiver.close();
    }
  });

  it('shows a refusal as a page', async () => {
    const { status, body } = await page('/console/jobs/job_0123456789abcdef');
    expect(status).toBe(404);
    expect(String(body)).toContain('<h1>Not Found</h1>');
    const { id } = await enqueue(instance.url, { question: 'Done?' });
    await reached(instance.url, id, 'completed');
    expect(await press(id, 'retry')).toMatchObject({ status: 409, body: expect.stringContaining('<h1>') });
  });

  it('refuses a form that a page of another site sends', async () => {
    const { id } = await enqueue(instance.url, { question: 'Whose?', delay_ms: 86_400_000 });
    const answer = await call(instance.url, 'POST', `/console/jobs/${id}/cancel`, {
      headers: { 'sec-fetch-site': 'cross-site' },
    });
    expect(answer).toMatchObject({ status: 403 });
    expect((await call(instance.url, 'GET', `/jobs/${id}`)).body).toMatchObject({ status: 'delayed' });
  });
});

describe('the console of an instance with keys', () => {
  let instance: Instance;
  beforeAll(async () => {
    instance = await startInstance({ keys: KEYS });
  });
  afterAll(() => instance.stop());

  const as = (name: string, method: string, path: string, options: CallOptions = {}): Promise<Answer> =>
    call(instance.url, method, path, {
      ...options,
      headers: {
        accept: 'text/html',
        authorization: `Bearer ${KEYS.find((key) => key.name === name)?.secret}`,
      },
    });

  it('shows and changes only the jobs of the visitor, and all for admin', async () => {
    const { body } = await as('alice', 'POST', '/jobs', {
      body: { question: 'A secret of Alice?', delay_ms: 86_400_000 },
    });
    const { id } = body as JobView;
    expect(await as('alice', 'GET', `/console/jobs/${id}`)).toMatchObject({
      status: 200,
      body: expect.stringContaining('Log out alice'),
    });
    expect(await as('admin', 'GET', `/console/jobs/${id}`)).toMatchObject({ status: 200 });
    for (const [method, action] of [
      ['GET', ''],
      ['POST', '/cancel'],
      ['POST', '/retry'],
      ['POST', '/delete'],
      ['POST', '/ask-again'],
    ] as const) {
      const answer = await as('bob', method, `/console/jobs/${id}${action}`);
      expect(answer).toMatchObject({ status: 404 });
      expect(String(answer.body)).not.toContain('secret of Alice');
    }
    expect((await as('alice', 'GET', `/jobs/${id}`)).body).toMatchObject({ status: 'delayed' });
  });

  it('asks a browser without a session to log in', async () => {
    expect(
      await call(instance.url, 'GET', '/console/jobs/job_1', { headers: { accept: 'text/html' } }),
    ).toMatchObject({ status: 303, headers: { location: '/login?next=%2Fconsole%2Fjobs%2Fjob_1' } });
  });
});

describe('the scripts of the console', () => {
  const assets = loadAssets('/console/assets');

  it('are small', () => {
    expect(gzipSync(assets.scripts.join('\n')).length).toBeLessThan(MOST_SCRIPT_BYTES);
  });

  it('are served with everything that they import', () => {
    const { imports } = JSON.parse(assets.importMap) as { imports: Record<string, string> };
    const scripts = readdirSync('producer/console/browser').map((name) => name.replace(/tsx?$/, 'js'));
    const needed = new Set(scripts.map((name) => join('producer/console/browser', name)));
    for (const path of needed) {
      const text = readFileSync(join('dist', path), 'utf8');
      for (const [, name = ''] of text.matchAll(/from '([^']+)'/g)) {
        if (name.startsWith('.')) needed.add(normalize(join(dirname(path), name)));
        else expect(Object.keys(imports)).toContain(name);
      }
    }
    expect([...needed].sort()).toEqual([...assets.modules].sort());
  });
});
