import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { type AptPackage, findOrInstall, sayMissing } from './apt-package.ts';

const CHROMIUM: AptPackage = {
  title: 'Chromium',
  name: 'chromium',
  programs: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
  // macOS does not put applications into PATH.
  paths: ['/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'],
};
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A cold start of the browser on a busy two-core machine. */
const LAUNCH_LIMIT_MS = 120_000;
/** The size of a window in CSS pixels. */
const WINDOW = { width: 1280, height: 800 };

/** Windows are windows of one browser. Each has its own cookies and storage, and is closed after its test. */
export interface Windows {
  /** Opens an empty window. */
  open(): Promise<Page>;
  /**
   * Opens a window at an address, and observes it.
   *
   * @param timeoutMs how long its page may take for anything.
   */
  visit(url: string, timeoutMs: number): Promise<ObservedPage>;
}

export interface ObservedPage {
  page: Page;
  /** The addresses outside the page's own origin that it has requested. */
  foreign: string[];
  /** The errors in the console of the page. */
  complaints: string[];
}

/**
 * describeInChromium is `describe` for tests that need a real browser. Without a browser its tests are
 * replaced by one that says why. In CI that test fails, because the output of a passing build is not read.
 */
export function describeInChromium(name: string, tests: (windows: Windows) => void): void {
  const finding = findOrInstall(CHROMIUM);
  describe(name, () => {
    if (finding.kind === 'missing') {
      it('needs Chromium', () => sayMissing(CHROMIUM, name, finding.reason));
      return;
    }
    let browser: Browser | undefined;
    const contexts: BrowserContext[] = [];
    beforeAll(async () => {
      browser = await chromium.launch({
        executablePath: finding.path,
        args: FLAGS,
        timeout: LAUNCH_LIMIT_MS,
      });
    }, LAUNCH_LIMIT_MS);
    afterEach(async () => {
      for (const context of contexts.splice(0)) await context.close();
    });
    afterAll(async () => {
      await browser?.close();
    });
    const open = async (): Promise<Page> => {
      if (browser === undefined) throw new Error('a window can only be opened inside a test');
      const context = await browser.newContext({ viewport: WINDOW });
      contexts.push(context);
      return context.newPage();
    };
    tests({
      open,
      async visit(url, timeoutMs) {
        const observed = observe(await open(), new URL(url).origin, timeoutMs);
        await observed.page.goto(url);
        return observed;
      },
    });
  });
}

function observe(page: Page, origin: string, timeoutMs: number): ObservedPage {
  const foreign: string[] = [];
  const complaints: string[] = [];
  page.setDefaultTimeout(timeoutMs);
  page.on('request', (request) => {
    if (!request.url().startsWith(`${origin}/`)) foreign.push(request.url());
  });
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  return { page, foreign, complaints };
}
