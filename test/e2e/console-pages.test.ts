import { Redis } from 'ioredis';
import type { Locator, Page } from 'playwright-core';
import { O3Client } from '../../src/client/o3-client.ts';
import type { Models } from '../../src/config/file.ts';
import { SAMPLE_EVERY_MS } from '../../src/overview/history.ts';
import { O3Queue } from '../../src/queue/o3-queue.ts';
import { keysOf } from '../../src/redis/keys.ts';
import { utcDay } from '../../src/usage/utc-day.ts';
import { describeInChromium } from '../support/process/chromium.ts';
import { expectGoodLook, LOOKS, setHidden } from '../support/process/page-look.ts';
import { TIME_LIMIT_MS } from '../support/time-limit.ts';
import { type Instance, quickModels, startInstance } from '../support/worlds/instance.ts';

const PATIENCE_MS = 3 * TIME_LIMIT_MS;
const HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>';

const STRANGER = `"><img src=x onerror="stranger = 1"><script>stranger = 2</script> \u202e ${'w'.repeat(400)}`;

describeInChromium('the pages of the console', (windows) => {
  let instance: Instance;
  let client: O3Client;
  /** Enqueues as a tenant, although the instance has no keys. */
  let queue: O3Queue;
  beforeAll(async () => {
    const { models, ...rest } = quickModels();
    const o3 = models['o3'];
    if (o3 === undefined) throw new Error('a model o3 was expected');
    const configured: Models = {
      ...rest,
      tenants: {
        alice: {
          weight: 2,
          maxInFlight: 50,
          dailyBudgetUsd: 0.05,
          maxWaiting: 1000,
          onBudgetExhausted: 'wait',
        },
        bob: { weight: 1, maxStoredMb: 1, onBudgetExhausted: 'wait' },
      },
      models: { o3: { ...o3, requestsPerMinute: 500 }, 'gpt-5.6-sol': { ...o3, upstream: 'gpt-5.6-sol' } },
    };
    instance = await startInstance({ models: configured });
    await writeHistory(instance.redis.url);
    client = new O3Client({ url: instance.url });
    queue = new O3Queue({ ...configured, redisUrl: instance.redis.url });
    const [alice, bob] = ['alice', 'bob'].map((tenant) => queue.as({ tenant, admin: false }));
    const refused = (code: string) => ({ metadata: { sim: 'failed', sim_code: code } });
    const jobs = [
      await client.enqueue({ question: HOSTILE, ...refused('invalid_prompt') }),
      await client.enqueue({ question: 'Write a haiku about lock-free queues', metadata: { sim: '400' } }),
      await alice?.enqueue({ question: 'How do I synthesise it?', ...refused('invalid_prompt') }),
      await alice?.enqueue({ question: 'And with less heat?', ...refused('invalid_prompt') }),
      await bob?.enqueue({
        question: 'Sum up the incident of last night',
        ...refused('vector_store_timeout'),
      }),
      await alice?.enqueue({ question: 'Can two Raft leaders commit in the same term?' }),
      await bob?.enqueue({ question: 'Is 2^61 - 1 a prime?', model: 'gpt-5.6-sol' }),
      await alice?.enqueue({ question: 'Why does Postgres ignore my index on orders(status, created_at)?' }),
    ];
    for (const job of jobs) if (job !== undefined) await client.wait(job.id);
    await client.enqueue({ question: 'Tomorrow?', delay_ms: 86_400_000 });
  });
  afterAll(async () => {
    await queue.close();
    await instance.stop();
  });

  const open = (path: string) => windows.visit(`${instance.url}${path}`, PATIENCE_MS);
  const pathOf = (page: Page): string => new URL(page.url()).pathname;

  it.each<[name: string, path: string, isThere: (page: Page) => Locator]>([
    [
      'now',
      '/',
      (page) => page.getByRole('img', { name: /^In the last 6 hours [1-9][\d,]* jobs completed/ }),
    ],
    ['jobs', '/console/jobs', (page) => page.getByRole('row', { name: 'Can two Raft leaders' })],
    [
      'question',
      '/console/selection?kind=retry',
      (page) => page.getByRole('heading', { name: 'Retry 5 jobs?' }),
    ],
    ['failures', '/console/failures', (page) => page.getByRole('row', { name: 'asked for invalid_prompt' })],
    ['cost', '/console/cost', (page) => page.getByRole('img', { name: /^Cost of each day from / })],
    ['tenants', '/console/tenants', (page) => page.getByRole('region', { name: 'alice' })],
  ])(
    'the page %s is accessible in each window, and keeps its content policy',
    async (name, path, isThere) => {
      const { page, foreign, complaints } = await open(path);
      await isThere(page).first().waitFor();
      // The picture of the costs shows all of them; the buttons of the failures stay behind theirs.
      if (name === 'cost') await page.locator('main summary').click();
      for (const look of LOOKS) await expectGoodLook(page, `console-${name}`, look);
      expect({ foreign, complaints: complaints.filter(isFault) }).toEqual({ foreign: [], complaints: [] });
    },
  );

  it('Ask says what a question would cost, then asks it and shows the answer', async () => {
    const { page, foreign, complaints } = await open('/console/ask');
    await page.getByLabel('Question').fill(`Why does Postgres ignore my index? ${HOSTILE}`);
    await page.getByLabel('Most output tokens').fill('20000');
    await page.getByRole('button', { name: 'What would it cost?' }).click();
    await page.getByRole('heading', { name: /^About \$[\d.]+, at most \$[\d.]+$/ }).waitFor();
    for (const look of LOOKS) await expectGoodLook(page, 'console-quote', look);
    await page.getByRole('button', { name: 'Ask', exact: true }).click();
    await page.waitForURL(/\/console\/jobs\/job_/);
    await page.locator('.badge', { hasText: 'completed' }).waitFor();
    expect(await page.title()).toContain('Why does Postgres ignore my index?');
    expect({ foreign, complaints: complaints.filter(isFault) }).toEqual({ foreign: [], complaints: [] });
  });

  it('Now follows what happens without a reload, and runs nothing of what a question contains', async () => {
    const { page, complaints } = await open('/');
    await page.getByRole('row', { name: HOSTILE }).waitFor();
    expect(await page.title()).toMatch(/^● all models are open · 0 waiting · o3-queue$/);
    await page.evaluate(() => Object.assign(globalThis, { sameDocument: true }));
    const { id } = await client.enqueue({ question: 'Am I seen?', metadata: { sim: 'stuck_queued' } });
    const running = page.getByRole('region', { name: 'Running' });
    await running.getByRole('row', { name: /active.*Am I seen\?/ }).waitFor();
    await client.cancel(id);
    await page.getByRole('row', { name: /cancelled.*Am I seen\?/ }).waitFor();
    await running.waitFor({ state: 'detached' });
    expect(await page.evaluate(() => 'sameDocument' in globalThis)).toBe(true);
    expect(complaints.filter(isFault)).toEqual([]);
  });

  it('Jobs finds jobs by the keyboard, and cancels all that match with their number and cost first', async () => {
    const { page, foreign, complaints } = await open('/console/jobs');
    await page.getByRole('row', { name: HOSTILE }).waitFor();
    for (const n of [1, 2, 3]) await client.enqueue({ question: `Lookup ${n}?`, delay_ms: 3_600_000 });
    await page.keyboard.press('/');
    await page.keyboard.type('LOOKUP');
    await page.keyboard.press('Enter');
    await page.getByText(/^Looked at \d+ jobs, to the end/).waitFor();
    expect(await page.locator('main tbody tr').count()).toBe(3);
    for (const key of ['j', 'j', 'x']) await page.keyboard.press(key);
    expect(await page.locator('main tbody input:checked').count()).toBe(1);
    await page.keyboard.press('x');
    await page.getByRole('button', { name: 'Cancel many…' }).click();
    await page.getByText('They have cost $0.00 so far.').waitFor();
    await page.getByRole('button', { name: 'Cancel 3 jobs' }).click();
    await page.locator('.badge', { hasText: 'done' }).waitFor();
    expect(await page.title()).toBe('✓ done · 3 cancelled · o3-queue');
    for (const look of LOOKS) await expectGoodLook(page, 'console-action', look);
    expect((await client.list({ q: 'lookup', status: 'cancelled' })).jobs).toHaveLength(3);
    expect({ foreign, complaints: complaints.filter(isFault) }).toEqual({ foreign: [], complaints: [] });
  });

  it('Jobs takes times in the time zone of the browser, and sends UTC', async () => {
    const { page, complaints } = await open('/console/jobs');
    const session = await page.context().newCDPSession(page);
    await session.send('Emulation.setTimezoneOverride', { timezoneId: 'Asia/Kolkata' });
    await page.goto(`${instance.url}/console/jobs?since=2020-01-01T00:00:00Z`);
    const since = page.getByLabel('Created since (your time)');
    expect(await since.inputValue()).toBe('2020-01-01T05:30');
    await since.fill('2020-02-01T05:30');
    await page.getByRole('button', { name: 'Show' }).click();
    await page.waitForURL(/since=2020-02-01T00%3A00%3A00.000Z/);
    expect(await page.getByLabel('Created since (your time)').inputValue()).toBe('2020-02-01T05:30');
    await page.getByRole('row', { name: HOSTILE }).first().waitFor();
    expect(complaints.filter(isFault)).toEqual([]);
  });

  it('Now says which model is paused and why, and its button resumes the model', async () => {
    const paused = instance.producer.url;
    await fetch(`${paused}/board/api/queues/o3/pause`, { method: 'PUT' });
    const { page } = await open('/');
    await page.locator('.badge', { hasText: 'paused' }).waitFor();
    expect(await page.title()).toMatch(/^✕ o3 paused · /);
    await page.getByText('paused on Bull Board').waitFor();
    await page.getByRole('button', { name: 'Resume o3 now' }).click();
    await page.locator('.badge', { hasText: 'paused' }).waitFor({ state: 'detached' });
    expect(await client.models()).toMatchObject([{ model: 'o3', state: { status: 'open' } }, {}]);
  });

  it('runs nothing of what strangers wrote, on any page', async () => {
    const stranger = queue.as({ tenant: STRANGER, admin: false });
    const { id } = await stranger.enqueue({ question: STRANGER, delay_ms: 86_400_000 });
    await stranger.cancel(id);
    const { id: action } = await client.actions.start('retry', { metadata: { note: STRANGER } });
    const names = ['jobs', `jobs/${id}`, 'failures', 'cost', 'tenants', 'audit', `actions/${action}`];
    const { page, foreign, complaints } = await open('/');
    for (const path of ['/', ...names.map((name) => `/console/${name}`)]) {
      await page.goto(`${instance.url}${path}`);
      await page.getByRole('button', { name: 'Keys' }).waitFor();
      expect(await page.evaluate(() => 'stranger' in globalThis)).toBe(false);
      expect(await page.locator('main img, main script:not([type])').count()).toBe(0);
    }
    expect({ foreign, complaints: complaints.filter(isFault) }).toEqual({ foreign: [], complaints: [] });
  });

  it('Now asks for nothing while it is hidden', async () => {
    const { page } = await open('/');
    await page.waitForResponse(`${instance.url}/console/now`);
    const asked: string[] = [];
    await setHidden(page, true);
    page.on('request', (request) => asked.push(request.url()));
    // A second page, opened later, asks twice meanwhile.
    const other = await open('/');
    for (let i = 0; i < 2; i += 1) await other.page.waitForResponse(`${instance.url}/console/now`);
    expect(asked).toEqual([]);
    const again = page.waitForResponse(`${instance.url}/console/now`);
    await setHidden(page, false);
    await again;
  });

  it('the keyboard leads through rows and pages, and ? says how', async () => {
    const { page } = await open('/');
    await page.getByRole('button', { name: 'Keys' }).waitFor();
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keys' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog', { name: 'Keys' }).waitFor({ state: 'hidden' });
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await page.keyboard.press('k');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/console\/jobs\/job_/);
    await page.getByRole('button', { name: 'Keys' }).waitFor();
    await page.keyboard.press('g');
    await page.keyboard.press('n');
    await page.getByRole('heading', { name: 'Now', exact: true }).waitFor();
    expect(pathOf(page)).toBe('/');
    expect(await page.getByRole('link', { name: 'Now' }).getAttribute('aria-current')).toBe('page');
  });
});

/**
 * On a very busy machine a command of Redis may take longer than the producer waits for it. The page then
 * gets a 503, says so, and asks again.
 */
function isFault(complaint: string): boolean {
  return !complaint.includes('the server responded with a status of 503');
}

/** Writes the samples of six hours of o3, which a test cannot wait for. */
async function writeHistory(redisUrl: string): Promise<void> {
  const redis = new Redis(redisUrl);
  const latest = Date.now() - (Date.now() % SAMPLE_EVERY_MS);
  for (let ago = 1; ago < 72; ago += 1) {
    const at = latest - ago * SAMPLE_EVERY_MS;
    const wave = 1 + Math.sin(ago / 9);
    const values = [wave * 60, wave * 20, 30 + wave * 25, ago % 11 === 0 ? 8 : 0].map(Math.round);
    await redis.hset(keysOf('o3q', 'o3').history(utcDay(at)), String(at), values.join(' '));
  }
  redis.disconnect();
}
