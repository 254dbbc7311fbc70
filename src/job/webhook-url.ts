import { isIP } from 'node:net';
import { z } from 'zod';
import { refusedRange } from './public-address.ts';

/** Room for a long token, but not for a payload: the URL is stored in each job. */
const MOST_CHARACTERS = 2000;
/**
 * Names of this machine or this network, whatever DNS answers: RFC 6761, RFC 6762, and ICANN's names for
 * private use.
 */
const INWARD_NAME = /(^|\.)(localhost|local|internal)$/;

/** webhookUrl checks the form of a webhook's URL. */
export const webhookUrl = z
  .string()
  .max(MOST_CHARACTERS)
  .superRefine((url, context) => {
    const message = formFlaw(url);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });

/**
 * webhookUrlFlaw says what is wrong with a webhook's URL, as far as that is known without DNS; undefined:
 * nothing.
 * @param allowPrivate `allowPrivateWebhooks` of the configuration.
 */
export function webhookUrlFlaw(url: string, allowPrivate: boolean): string | undefined {
  if (url.length > MOST_CHARACTERS) {
    return `expected at most ${MOST_CHARACTERS} characters, got ${url.length}`;
  }
  const flaw = formFlaw(url);
  if (flaw !== undefined) return flaw;
  // The URL has an IP address in one form, however it was written (decimal, octal, hexadecimal, full width).
  const host = hostOf(new URL(url));
  if (isIP(host) !== 0) {
    const range = refusedRange(host, allowPrivate);
    return range === undefined ? undefined : `expected a public address, got ${host} (${range})`;
  }
  if (!allowPrivate && INWARD_NAME.test(host)) return `expected a public host, got ${host}`;
  return undefined;
}

function formFlaw(text: string): string | undefined {
  if (!URL.canParse(text)) return 'expected a URL that begins with http:// or https://';
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    return 'expected a URL that begins with http:// or https://';
  }
  if (url.username !== '' || url.password !== '') {
    // The URL is not shown: it holds a password.
    return 'expected a URL without a user name and a password, got one with them';
  }
  return hostOf(url) === '' ? 'expected a URL with a host' : undefined;
}

/** hostOf drops a dot at the end of a name, which means the same and would hide it from comparisons. */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '').replace(/\.+$/, '');
}
