import { readFileSync } from 'node:fs';
import type { Locator, Page } from 'playwright-core';
import { formatUsd } from '../../src/usage/usd.ts';
import { describeInChromium } from '../support/process/chromium.ts';
import { TIME_LIMIT_MS } from '../support/time-limit.ts';
import {
  type CrowdedInstance,
  JOBS,
  MODELS,
  startCrowdedInstance,
} from '../support/worlds/crowded-instance.ts';

const PATIENCE_MS = 3 * TIME_LIMIT_MS;
const MOST_CLICKS = 3;
const DOCUMENT = 'docs/CONSOLE.md';

describeInChromium('the seven questions of an operator with 5,000 jobs', (windows) => {
  let instance: CrowdedInstance;
  beforeAll(async () => {
    instance = await startCrowdedInstance();
    const sizes = await Promise.all(
      [undefined, 'failed', 'cancelled', 'waiting'].map(async (status) => countOf(instance.url, status)),
    );
    expect(sizes).toEqual([JOBS.all, JOBS.failed, JOBS.cancelled, JOBS.waiting]);
  });
  afterAll(() => instance?.stop());

  /**
   * Opens Now, answers a question there by hand, and compares the clicks with those that the docs promise.
   */
  const answer = async (question: string, act: (hand: Hand) => Promise<void>): Promise<void> => {
    const { page, foreign, complaints } = await windows.visit(instance.url, PATIENCE_MS);
    const hand = handOn(page);
    await act(hand);
    expect(hand.clicks()).toBeLessThanOrEqual(MOST_CLICKS);
    expect({ question, clicks: hand.clicks() }).toEqual({ question, clicks: promisedClicks(question) });
    expect({ foreign, complaints }).toEqual({ foreign: [], complaints: [] });
  };

  it('why does it wait?', () =>
    answer('Why does it wait?', async ({ page, enter }) => {
      await page.getByRole('region', { name: MODELS[2] }).getByText('paused on Bull Board').waitFor();
      await enter(page.getByRole('searchbox'), 'renew in March');
      await page
        .getByRole('row', { name: instance.waiting.question })
        .getByText(/waits for .*paused/)
        .waitFor();
    }));

  it('what did it cost?', async () => {
    await answer('What did it cost?', async ({ page, click }) => {
      await click(page.getByRole('link', { name: 'Cost', exact: true }));
      await page.getByRole('heading', { name: 'By tenant' }).waitFor();
      const { total } = await instance.client.usage();
      await page
        .getByText(formatUsd(total.cost_usd ?? 0))
        .first()
        .waitFor();
    });
    await answer('What did it cost?', async ({ page, enter }) => {
      await enter(page.getByRole('searchbox'), 'report that takes 90 seconds');
      const { cost_usd: cost } = await instance.client.get(instance.sought.id);
      await page
        .getByRole('row')
        .getByText(formatUsd(cost ?? 0))
        .waitFor();
    });
  });

  it('who eats the quota?', () =>
    answer('Who eats the quota?', async ({ page, click }) => {
      await click(page.getByRole('link', { name: 'Tenants', exact: true }));
      await page
        .getByRole('region', { name: 'alice' })
        .getByText(/^[\d,]+ \([5-9]\d %\)/)
        .waitFor();
      await page.getByRole('region', { name: 'alice' }).getByText('1 of 200').waitFor();
    }));

  it('what is it writing now?', () =>
    answer('What is it writing now?', async ({ page, click }) => {
      await click(page.getByRole('link', { name: instance.active.question }).first());
      await page.getByRole('region', { name: 'The answer so far' }).getByText('CREATE INDEX').waitFor();
    }));

  it('which one asked about “index”?', () =>
    answer('Which one asked about “index”?', async ({ page, click, enter }) => {
      await enter(page.getByRole('searchbox'), 'index');
      await page.getByText(/^Looked at [\d,]+ jobs/).waitFor();
      await page.locator('mark', { hasText: 'index' }).waitFor();
      await click(page.getByRole('row', { name: 'We run Postgres' }).getByRole('link'));
      await page.getByText('Give the planner a reason to read the index').waitFor();
    }));

  it('which failed for the same reason? Retry those', () =>
    answer('Which failed for the same reason? Retry those', async ({ page, click }) => {
      await click(page.getByRole('link', { name: 'Failures', exact: true }));
      const group = page.getByRole('region', { name: 'response_failed' });
      await group.getByText('vector_store_timeout').waitFor();
      await click(group.getByRole('link', { name: /^Retry these 170…/ }));
      await click(page.getByRole('button', { name: 'Retry 170 jobs' }));
      await page.locator('.badge', { hasText: 'done' }).waitFor();
      expect(await page.title()).toBe('✓ done · 170 retried · o3-queue');
    }));

  it('stop this one', () =>
    answer('Stop this one', async ({ page, click }) => {
      await click(page.getByRole('link', { name: instance.active.question }).first());
      await click(page.getByRole('button', { name: 'Cancel' }));
      await page.locator('.badge', { hasText: 'cancelled' }).waitFor();
      expect(await instance.client.get(instance.active.id)).toMatchObject({ status: 'cancelled' });
    }));
});

/**
 * Hand does what a person does with a page, and counts it. A text with Enter behind it counts as one click.
 */
interface Hand {
  readonly page: Page;
  click(target: Locator): Promise<void>;
  enter(field: Locator, text: string): Promise<void>;
  clicks(): number;
}

function handOn(page: Page): Hand {
  let count = 0;
  return {
    page,
    async click(target) {
      count += 1;
      await target.click();
    },
    async enter(field, text) {
      count += 1;
      await field.fill(text);
      await field.press('Enter');
    },
    clicks: () => count,
  };
}

/** Returns the number of clicks that the docs promise for a question: the first number in its last cell. */
function promisedClicks(question: string): number {
  const row = readFileSync(DOCUMENT, 'utf8')
    .split('\n')
    .find((line) => line.startsWith(`| ${question} |`));
  const cells = row?.split('|') ?? [];
  return Number(/\d+/.exec(cells.at(-2) ?? '')?.[0]);
}

async function countOf(url: string, status: string | undefined): Promise<number> {
  let count = 0;
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const query = new URLSearchParams({ limit: '100', ...(status && { status }), ...(cursor && { cursor }) });
    const page = (await (await fetch(`${url}/jobs?${query}`)).json()) as {
      jobs: unknown[];
      next_cursor: string | null;
    };
    count += page.jobs.length;
    cursor = page.next_cursor;
  }
  return count;
}
