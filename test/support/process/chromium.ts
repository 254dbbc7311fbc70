import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
/** macOS does not put applications into PATH. */
const MAC_OS_PATH = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome';
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

/** A download of about 100 MB, on a slow network. */
const INSTALL_LIMIT_MS = 10 * 60_000;
/** apt-get waits for the lock of packages, but not for the lock of its lists. */
const BUSY_RETRY_MS = 1000;
/** A cold start of the browser on a busy two-core machine. */
const LAUNCH_LIMIT_MS = 120_000;
/** The size of a window in CSS pixels. */
const WINDOW = { width: 1280, height: 800 };

type Finding = { kind: 'found'; path: string } | { kind: 'missing'; reason: string };

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
  const finding = findOrInstall();
  describe(name, () => {
    if (finding.kind === 'missing') {
      it('needs Chromium', () => sayMissing(name, finding.reason));
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

/**
 * findOrInstall blocks on purpose: Jest must know all tests before it runs the first, and this decides which
 * exist.
 */
function findOrInstall(): Finding {
  const path = find();
  if (path !== undefined) return { kind: 'found', path };
  if (process.getuid?.() !== 0 || inPath('apt-get') === undefined) {
    return {
      kind: 'missing',
      reason: 'there is none in PATH, and it can be installed from here only by root with apt-get',
    };
  }
  say('Chromium is missing, so apt-get installs it: about 100 MB, once.');
  const startedAt = Date.now();
  const failure = install();
  const installed = find();
  if (installed === undefined) return { kind: 'missing', reason: `apt-get could not install it: ${failure}` };
  say(`Chromium was installed in ${Math.round((Date.now() - startedAt) / 1000)} s: ${installed}`);
  return { kind: 'found', path: installed };
}

function find(): string | undefined {
  const paths = NAMES.map(inPath).filter((path) => path !== undefined);
  return [...paths, MAC_OS_PATH].find(isExecutable);
}

function inPath(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @returns the failures of apt-get; the browser may be there all the same. */
function install(): string {
  const deadline = Date.now() + INSTALL_LIMIT_MS;
  for (;;) {
    // Old lists of packages may still be good enough.
    const update = aptGet(['update']);
    const installation = aptGet(['install', '-y', '--no-install-recommends', 'chromium']);
    const failures = [update, installation].filter((failure) => failure !== '').join('; ');
    // Another test file, or the machine itself, may be installing at this moment.
    const busy = failures.includes('lock');
    if (!busy || find() !== undefined || Date.now() > deadline) return failures;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_RETRY_MS);
  }
}

/** @returns the message of a failure; '' for success. */
function aptGet(command: readonly string[]): string {
  try {
    execFileSync('apt-get', ['-qq', '-o', `DPkg::Lock::Timeout=${INSTALL_LIMIT_MS / 1000}`, ...command], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      stdio: 'pipe',
      timeout: INSTALL_LIMIT_MS,
    });
    return '';
  } catch (error: unknown) {
    return error instanceof Error ? error.message : String(error);
  }
}

function sayMissing(tests: string, reason: string): void {
  const sentence = `Chromium was expected for the tests of "${tests}": ${reason}. Install chromium or google-chrome`;
  if (process.env['CI'] !== undefined) throw new Error(sentence);
  say(`SKIPPED. ${sentence}, and run them again.`);
}

/** Straight to the terminal: Jest hides or wraps what tests print in other ways. */
function say(line: string): void {
  process.stderr.write(`\n${line}\n`);
}
