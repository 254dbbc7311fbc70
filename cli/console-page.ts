import type { O3Client } from '../src/client/o3-client.ts';
import { jobPageUrl } from '../src/job/ids/job-page.ts';

/** How long the program that opens a browser has to fail, in milliseconds. */
const FAILURE_MS = 1000;

/** consoleUrl is the address of the page of a job on the console, or else of the console's first page. */
export function consoleUrl({ url }: Pick<O3Client, 'url'>, id?: string): string {
  return id === undefined ? `${url}/` : jobPageUrl(url, id);
}

/**
 * openBrowser opens an address in the user's browser. It loads `open` only now, since few commands need it.
 *
 * @returns whether a browser was opened, as far as that can be known.
 */
export async function openBrowser(url: string): Promise<boolean> {
  const { default: open } = await import('open');
  try {
    const opener = await open(url);
    return await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(true), FAILURE_MS);
      const end = (isOpen: boolean): void => {
        clearTimeout(timer);
        resolve(isOpen);
      };
      opener.once('error', () => end(false));
      opener.once('exit', (code) => end(code === 0));
    });
  } catch {
    return false;
  }
}
