import type { Page } from 'playwright-core';
import { O3Client } from '../../src/client/o3-client.ts';
import { describeInChromium, type ObservedPage } from '../support/process/chromium.ts';
import { expectGoodLook, LOOKS, setHidden } from '../support/process/page-look.ts';
import { TIME_LIMIT_MS } from '../support/time-limit.ts';
import { type Instance, startInstance } from '../support/worlds/instance.ts';

const PATIENCE_MS = 3 * TIME_LIMIT_MS;
const ANSWER = `Make the index cover what you ask for:

\`\`\`sql
CREATE INDEX CONCURRENTLY ON orders (status, created_at) INCLUDE (total);
\`\`\`

1. The planner is **right**: your filter keeps 61 % of the rows.
2. Then run \`VACUUM\`, so that an index-only scan is allowed.`;
const HOSTILE = '<img src=x onerror="document.title=1">';

describeInChromium('the page of a job', (windows) => {
  let instance: Instance;
  let client: O3Client;
  beforeAll(async () => {
    instance = await startInstance({ simulator: { answer: () => ANSWER } });
    client = new O3Client({ url: instance.url });
  });
  afterAll(() => instance.stop());

  const open = (id: string): Promise<ObservedPage> =>
    windows.visit(`${instance.url}/console/jobs/${id}`, PATIENCE_MS);
  const badge = (page: Page, status: string) => page.locator('.badge', { hasText: status }).waitFor();

  it('shows the answer while it is written, and as Markdown when it is complete', async () => {
    const { id } = await client.enqueue({
      question: 'Why does Postgres ignore my index on orders(status, created_at)?',
      metadata: { sim_think_ms: '6000' },
    });
    const { page, foreign, complaints } = await open(id);
    await badge(page, 'active');
    expect(await page.title()).toMatch(/^◐ active · Why does Postgres/);
    // This heading is there only until the answer is complete.
    await page.getByText('The answer so far').waitFor();
    await badge(page, 'completed');
    await page.locator('.markdown code', { hasText: 'VACUUM' }).waitFor();
    expect(await page.title()).toMatch(/^✓ completed · /);
    await page.getByRole('link', { name: 'As plain text' }).click();
    await page.getByText('```sql').waitFor();
    expect({ foreign, complaints }).toEqual({ foreign: [], complaints: [] });
  });

  it('cancels a running job in one click, and says so without a reload', async () => {
    const { id } = await client.enqueue({ question: 'Stop me?', metadata: { sim: 'stuck_queued' } });
    const { page } = await open(id);
    await badge(page, 'active');
    await page.getByRole('button', { name: 'Cancel' }).click();
    await badge(page, 'cancelled');
    expect(await client.get(id)).toMatchObject({ status: 'cancelled' });
  });

  it('runs nothing of what questions and answers contain', async () => {
    const { id } = await client.enqueue({ question: HOSTILE, metadata: { note: HOSTILE } });
    await client.wait(id);
    const { page, foreign, complaints } = await open(id);
    await page.locator('.markdown').waitFor();
    expect(await page.title()).toContain(HOSTILE);
    expect(await page.locator('main img').count()).toBe(0);
    expect({ foreign, complaints }).toEqual({ foreign: [], complaints: [] });
  });

  it('keeps no connection while the page is hidden', async () => {
    const { id } = await client.enqueue({ question: 'Hidden?', metadata: { sim: 'stuck_queued' } });
    const { page } = await open(id);
    await badge(page, 'active');
    const ended = page.waitForEvent('requestfailed', (request) => request.url().endsWith('/events'));
    await setHidden(page, true);
    await ended;
    await client.cancel(id);
    await client.wait(id);
    await setHidden(page, false);
    await badge(page, 'cancelled');
  });

  it('is accessible in each window', async () => {
    const { id } = await client.enqueue({
      question: 'Why does Postgres ignore my index on orders(status, created_at)?',
    });
    await client.wait(id);
    const { page } = await open(id);
    await page.locator('.markdown').waitFor();
    for (const look of LOOKS) await expectGoodLook(page, 'console-job', look);
  });
});
