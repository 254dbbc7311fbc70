import { isIP } from 'node:net';
import { z } from 'zod';
import { refusedRange } from './public-address.ts';

/** Room for a long token, and none for a payload: it is stored in each job. */
const MOST_CHARACTERS = 2000;
/**
 * Names that lead to this machine or this network, whatever DNS says: RFC 6761, RFC 6762, and what ICANN
 * reserves for private use.
 */
const INWARD_NAME = /(^|\.)(localhost|local|internal)$/;

/** Where a webhook goes, by its form alone. */
export const webhookUrl = z
  .string()
  .max(MOST_CHARACTERS)
  .superRefine((url, context) => {
    const message = formFlaw(url);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });

/**
 * What is wrong with where a webhook is to go, as far as that can be known without a look into DNS;
 * undefined: nothing.
 * @param allowPrivate `allowPrivateWebhooks` of the configuration.
 */
export function webhookUrlFlaw(url: string, allowPrivate: boolean): string | undefined {
  if (url.length > MOST_CHARACTERS) {
    return `expected at most ${MOST_CHARACTERS} characters, got ${url.length}`;
  }
  const flaw = formFlaw(url);
  if (flaw !== undefined) return flaw;
  // Whatever way an IP address is written (decimal, octal, hexadecimal, full width), the URL has it in its
  // one form.
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
    // Without what came: it has a password in it.
    return 'expected a URL without a user name and a password, got one with them';
  }
  return hostOf(url) === '' ? 'expected a URL with a host' : undefined;
}

/** A dot at its end changes nothing about a name, but hides it from who compares. */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '').replace(/\.+$/, '');
}
