import type { Locator, Page } from 'playwright-core';
import { O3Client } from '../../src/client/o3-client.ts';
import { eventually } from '../support/eventually.ts';
import { describeInChromium, type ObservedPage } from '../support/process/chromium.ts';
import { TIME_LIMIT_MS } from '../support/time-limit.ts';
import { type Instance, startInstance } from '../support/worlds/instance.ts';

/** The board asks for news every two seconds. */
const PATIENCE_MS = 3 * TIME_LIMIT_MS;
const ANSWER = 'Light is finite, and so is the age of the universe.\n\nSo most of it has not arrived yet.';

describeInChromium('the board', (windows) => {
  let instance: Instance;
  let client: O3Client;
  beforeAll(async () => {
    instance = await startInstance({ simulator: { answer: () => ANSWER } });
    client = new O3Client({ url: instance.url });
  });
  afterAll(() => instance.stop());

  const openBoard = (path = '/board'): Promise<ObservedPage> =>
    windows.visit(`${instance.url}${path}`, PATIENCE_MS);

  it('is one click from the console, and finds a job by its question', async () => {
    const question = 'Why is the night sky dark?';
    const { id } = await client.enqueue({ question, reasoning_effort: 'high' });
    await client.wait(id);

    const { page, foreign, complaints } = await openBoard('/');
    await page.getByRole('link', { name: 'Raw queues' }).click();
    await page.waitForURL(`${instance.url}/board`);
    expect(await page.title()).toBe('o3-queue');
    await page.getByRole('navigation').getByRole('link', { name: 'o3', exact: true }).click();
    await page.getByRole('link', { name: /^completed/i }).click();
    await cardOf(page, `completed · ${question}`).getByRole('link', { name: id }).click();

    await page.waitForURL((url) => url.pathname === `/board/queue/o3/${id}`);
    await heading(page, `completed · ${question}`).waitFor();
    const story = page.getByRole('tree');
    await story.getByText('output_tokens:').waitFor();
    const text = await story.innerText();
    expect(text).toContain(`question:"${question}"`);
    expect(text).toContain(`answer:"${ANSWER}"`);
    expect(text).toMatch(/total_tokens:\d+/);
    expect(text).toMatch(/attempt:1,\s+max_attempts:5/);

    const opened = page.waitForEvent('popup');
    await page.getByRole('link', { name: 'JSON' }).click();
    const json = await opened;
    await json.waitForLoadState();
    expect(json.url()).toBe(`${instance.url}/jobs/${id}`);
    expect(JSON.parse(await json.innerText('body'))).toMatchObject({ id, status: 'completed', question });
    expect({ foreign, complaints }).toEqual({ foreign: [], complaints: [] });
  });

  it('retries a failed job at the press of its button, and buys it again', async () => {
    const { id } = await client.enqueue({
      question: 'What is worth a second attempt?',
      metadata: { sim: 'failed', sim_code: 'invalid_prompt', sim_times: '1' },
    });
    expect(await client.wait(id)).toMatchObject({ status: 'failed' });
    const { purchases } = instance.simulator.ledger.totals();

    const { page } = await openBoard(`/board/queue/o3/${id}`);
    await heading(page, 'failed · What is worth').waitFor();
    await page.getByText('response_refused: invalid_prompt').waitFor();
    await page.locator('main button:has(svg.lucide-refresh-cw)').click();
    await page.getByRole('button', { name: 'Confirm' }).click();

    await heading(page, 'completed · What is worth').waitFor();
    await page.getByText('Light is finite').waitFor();
    expect(await client.get(id)).toMatchObject({ status: 'completed', attempt: 1 });
    expect(instance.simulator.ledger.totals().purchases).toBe(purchases + 1);
  });

  it('distinguishes cancelled from failed jobs, and retries one of them or all failed ones', async () => {
    const cancelled = await client.enqueue({
      question: 'Who stopped this?',
      metadata: { sim: 'stuck_queued' },
    });
    const failed = await client.enqueue({
      question: 'Who refused this?',
      metadata: { sim: '400', sim_times: '1' },
    });
    await eventually(async () => expect(await client.get(cancelled.id)).toMatchObject({ status: 'active' }));
    await client.cancel(cancelled.id);
    await client.wait(cancelled.id);
    await client.wait(failed.id);

    const { page } = await openBoard('/board/queue/o3?status=failed');
    const cardOfCancelled = cardOf(page, 'cancelled · Who stopped this?');
    await cardOfCancelled.getByText('cancelled: on request').waitFor();
    await cardOf(page, 'failed · Who refused this?').getByText('invalid_request: the upstream').waitFor();
    expect(await page.locator('main').innerText()).not.toContain('model-worker');
    await cardOfCancelled.locator('button:has(svg.lucide-refresh-cw)').waitFor();

    await page.getByRole('button', { name: 'Retry all' }).click();
    await page.getByRole('button', { name: 'Confirm' }).click();
    await heading(page, 'failed · Who refused this?').waitFor({ state: 'hidden' });
    expect(await client.wait(failed.id)).toMatchObject({ status: 'completed' });
    await cardOfCancelled.waitFor();
    expect(await client.get(cancelled.id)).toMatchObject({ status: 'cancelled' });
  });

  it('shows what a delayed job waits for, the progress of an active one, and its end without a reload', async () => {
    await client.enqueue({ question: 'What will be tomorrow?', delay_ms: 86_400_000 });
    const { id } = await client.enqueue({
      question: 'What takes so long?',
      metadata: { sim: 'stuck_queued' },
    });
    const { page } = await openBoard('/board/queue/o3');
    await cardOf(page, 'delayed · What will be tomorrow?').getByText('waiting_for:').waitFor();
    await cardOf(page, 'active · What takes so long?').getByText('upstream_status:').waitFor();
    await cardOf(page, 'active · What takes so long?').getByText('resp_').waitFor();
    await client.cancel(id);
    await heading(page, 'cancelled · What takes so long?').waitFor();
  });
});

function heading(page: Page, name: string): Locator {
  return page.getByRole('heading', { name });
}

/** The smallest box that has both a job's heading and the link to its page. */
function cardOf(page: Page, name: string): Locator {
  return page
    .locator('main div')
    .filter({ has: heading(page, name) })
    .filter({ has: page.getByRole('link') })
    .last();
}
