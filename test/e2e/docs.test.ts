import { everyRoute } from '../support/hostile/every-route.ts';
import { describeInChromium, type ObservedPage } from '../support/process/chromium.ts';
import { TIME_LIMIT_MS } from '../support/time-limit.ts';
import { type Instance, startInstance } from '../support/worlds/instance.ts';

/** The page loads a script of 1.7 MB, on a busy machine. In milliseconds. */
const PATIENCE_MS = 3 * TIME_LIMIT_MS;

describeInChromium('the documentation', (windows) => {
  let instance: Instance;
  beforeAll(async () => {
    instance = await startInstance();
  });
  afterAll(() => instance.stop());

  const openDocs = (): Promise<ObservedPage> => windows.visit(`${instance.url}/docs`, PATIENCE_MS);

  it('shows every operation, loads nothing from elsewhere, and breaks no rule of its content policy', async () => {
    const { page, foreign, complaints } = await openDocs();
    for (const { operation } of everyRoute()) {
      await page.getByText(operation.summary, { exact: true }).waitFor();
    }
    expect({ foreign, complaints }).toEqual({ foreign: [], complaints: [] });
  });

  it('is dark or light as the system is, also when that changes', async () => {
    const { page } = await openDocs();
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.locator('html.dark-mode').waitFor();
    await page.emulateMedia({ colorScheme: 'light' });
    await page.locator('html:not(.dark-mode)').waitFor();
  });

  it('lets a person try an operation out', async () => {
    const { page, foreign, complaints } = await openDocs();
    await page.getByText('Enqueue a job', { exact: true }).click();
    await page.getByRole('button', { name: 'Try it out' }).click();
    await page.getByRole('button', { name: 'Execute' }).click();
    await page.locator('.live-responses-table').getByText('"question": "Why is the sky blue?"').waitFor();
    expect({ foreign, complaints }).toEqual({ foreign: [], complaints: [] });
  });
});
