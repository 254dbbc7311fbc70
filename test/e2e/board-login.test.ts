import type { Page } from 'playwright-core';
import { O3Client } from '../../src/client/o3-client.ts';
import { describeInChromium } from '../support/process/chromium.ts';
import { TIME_LIMIT_MS } from '../support/time-limit.ts';
import { type Instance, startInstance } from '../support/worlds/instance.ts';

const PATIENCE_MS = 3 * TIME_LIMIT_MS;
const ADMIN = 'the-key-of-the-administrator';
const ALICE = 'the-key-of-alice-1234';

describeInChromium('the board behind its login', (windows) => {
  let instance: Instance;
  beforeAll(async () => {
    const keys = [
      { name: 'admin', secret: ADMIN },
      { name: 'alice', secret: ALICE },
    ];
    instance = await startInstance({ keys });
  });
  afterAll(() => instance.stop());

  async function open(path: string): Promise<Page> {
    const page = await windows.open();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.goto(`${instance.url}${path}`);
    return page;
  }

  async function logIn(page: Page, key: string): Promise<void> {
    await page.getByLabel('Your key').fill(key);
    await page.getByRole('button', { name: 'Log in' }).click();
  }

  it('lets admin log in to the wanted page, act there, and log out', async () => {
    const client = new O3Client({ url: instance.url, apiKey: ALICE });
    const { id } = await client.enqueue({
      question: 'What is behind the door?',
      metadata: { sim: 'failed', sim_code: 'invalid_prompt', sim_times: '1' },
    });
    await client.wait(id);

    const complaints: string[] = [];
    const page = await open(`/board/queue/o3/${id}`);
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    expect(new URL(page.url()).pathname).toBe('/login');
    await logIn(page, 'not-the-key-of-anybody');
    await page.getByRole('alert').getByText('This key is unknown').waitFor();
    complaints.splice(0);
    await logIn(page, ADMIN);

    await page.waitForURL(`${instance.url}/board/queue/o3/${id}`);
    await page.getByRole('heading', { name: 'failed · What is behind the door?' }).waitFor();
    await page.getByText('response_refused: invalid_prompt').waitFor();
    await page.locator('main button:has(svg.lucide-refresh-cw)').click();
    await page.getByRole('button', { name: 'Confirm' }).click();
    await page.getByRole('heading', { name: 'completed · What is behind the door?' }).waitFor();
    expect(complaints).toEqual([]);

    await page.goto(`${instance.url}/jobs/${id}`);
    expect(JSON.parse(await page.innerText('body'))).toMatchObject({ id, status: 'completed' });
    await page.goto(`${instance.url}/board`);
    await page.locator('header button:has(svg)').last().click();
    await page.getByText('Log out').click();
    await page.getByRole('heading', { name: 'Logged in as admin' }).waitFor();
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Your key').waitFor();
    await page.goto(`${instance.url}/board`);
    expect(new URL(page.url()).pathname).toBe('/login');
  });

  it("tells a tenant that it is for admin, and leads to the tenant's own jobs", async () => {
    const alice = new O3Client({ url: instance.url, apiKey: ALICE });
    const question = 'Is <b>this</b> "mine"?';
    const { id } = await alice.enqueue({ question });
    await alice.wait(id);
    await new O3Client({ url: instance.url, apiKey: ADMIN }).enqueue({ question: 'Not hers' });

    const page = await open('/board');
    await page.getByText('o3-queue').waitFor();
    await logIn(page, ALICE);
    await page.getByRole('heading', { name: 'The board is for admin' }).waitFor();
    await page.getByRole('link', { name: 'your own' }).click();
    await page.waitForURL(`${instance.url}/`);
    await page.getByRole('heading', { name: 'The newest jobs' }).waitFor();
    const row = page.getByRole('row', { name: question });
    expect(await row.innerText()).toMatch(/^✓ completed\s/);
    expect(await page.getByText('Not hers').count()).toBe(0);
    await page.getByRole('link', { name: 'API' }).waitFor();
    await row.getByRole('link', { name: question }).click();
    await page.waitForURL(`${instance.url}/console/jobs/${id}`);
    await page.getByRole('heading', { name: 'Answer', exact: true }).waitFor();
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Your key').waitFor();
  });

  it('shows nothing to the page of another site, and does nothing for it', async () => {
    const page = await open('/login');
    await logIn(page, ADMIN);
    await page.waitForURL(`${instance.url}/`);
    const client = new O3Client({ url: instance.url, apiKey: ADMIN });
    const before = (await client.list()).jobs.length;
    // Another port of the same host, so that the cookie goes along: here SameSite does not help.
    await page.goto('about:blank');
    await page.route(`http://127.0.0.1:1/*`, (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: `<form method="post" action="${instance.url}/jobs"><button>You have won</button></form>`,
      }),
    );
    await page.goto('http://127.0.0.1:1/');
    const answered = page.waitForResponse(`${instance.url}/jobs`);
    await page.getByRole('button').click();
    expect((await answered).status()).toBe(403);
    expect((await client.list()).jobs.length).toBe(before);
  });
});
