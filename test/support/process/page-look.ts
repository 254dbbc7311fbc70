import { readFileSync } from 'node:fs';
import { copyFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';

/** Set to anything, it puts the pictures into docs. */
const forDocs = process.env['UPDATE_SCREENSHOT'] !== undefined;
/** The rules of WCAG 2.2 on levels A and AA, and what axe advises beside them. */
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
/** The fewest bytes of a picture that shows anything. */
const LEAST_BYTES = 8000;
const HEIGHT = 844;

/** LOOKS are the windows in which each page is looked at: a laptop in both colour schemes, and a phone. */
export const LOOKS = [
  ['light', 1280],
  ['dark', 1280],
  ['dark', 390],
] as const satisfies [colorScheme: 'light' | 'dark', width: number][];

/**
 * expectGoodLook checks a page in one window: it breaks no rule of accessibility, and nothing of it lies
 * beside the window. It takes a picture of it.
 *
 * @param name the name of the picture, without its look: `console-now`.
 */
export async function expectGoodLook(
  page: Page,
  name: string,
  [colorScheme, width]: (typeof LOOKS)[number],
): Promise<void> {
  await page.emulateMedia({ colorScheme });
  await page.setViewportSize({ width, height: HEIGHT });
  expect(await flawsOf(page)).toEqual([]);
  const scrollWidth = await page.evaluate(() => {
    const { document, scrollTo } = globalThis as unknown as {
      document: { documentElement: { scrollWidth: number } };
      scrollTo(x: number, y: number): void;
    };
    // A click of the test may have scrolled the page.
    scrollTo(0, 0);
    return document.documentElement.scrollWidth;
  });
  expect(scrollWidth).toBeLessThanOrEqual(width);
  const file = `${name}-${colorScheme}-${width}.png`;
  const picture = join(tmpdir(), file);
  await page.screenshot({ path: picture });
  expect((await stat(picture)).size).toBeGreaterThan(LEAST_BYTES);
  if (forDocs) await copyFile(picture, join('docs', 'pictures', file));
}

/** flawsOf returns the rules of accessibility that a page breaks, each with the elements that break it. */
async function flawsOf(page: Page): Promise<string[]> {
  // The browser's debugger runs the script, so that the content policy of the page stays as it is.
  await page.evaluate(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
  const { violations } = await page.evaluate(async (values) => {
    const { axe } = globalThis as unknown as { axe: { run(options: unknown): Promise<AxeResults> } };
    return axe.run({ runOnly: { type: 'tag', values } });
  }, RULES);
  return violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('; ')}`,
  );
}

/**
 * setHidden makes the page believe that its tab is hidden or shown: a headless browser has no tabs to switch.
 */
export async function setHidden(page: Page, isHidden: boolean): Promise<void> {
  await page.evaluate((hidden) => {
    const { document, Event } = globalThis as unknown as {
      document: EventTarget;
      Event: new (type: string) => Event;
    };
    Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, isHidden);
}
