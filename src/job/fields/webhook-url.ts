import { isIP, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';

/** The limit leaves room for a long token but not for a payload, because the URL is stored in each job. */
const MOST_CHARACTERS = 2000;
/**
 * Names of this machine or this network, even if DNS says otherwise: RFC 6761, RFC 6762, and ICANN's names
 * for private use.
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
  // The parsed URL has an IP address in its usual form, however the caller wrote it (decimal, octal,
  // hexadecimal, full width).
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
    // The URL is not quoted, because it contains a password.
    return 'expected a URL without a user name and a password, got one with them';
  }
  return hostOf(url) === '' ? 'expected a URL with a host' : undefined;
}

/**
 * hostOf returns the host without a dot at its end and without the brackets of IPv6. `localhost.` is the same
 * host as `localhost`, but a comparison of the texts would not see that.
 */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '').replace(/\.+$/, '');
}

/** Ranges of a development machine and of a private network, which `allowPrivateWebhooks` can allow. */
const PRIVATE_RANGES = new Set(['loopback', 'private', 'uniqueLocal']);
/**
 * Addresses where clouds hand out credentials, beside the link-local 169.254.169.254; the first is a public
 * address.
 */
const METADATA_ADDRESSES = new Set(['168.63.129.16', 'fd00:ec2::254']);
/**
 * The part of IPv6 that is allocated to hosts on the internet. An address outside it may be an IPv4 address
 * in disguise, such as `::7f00:1`.
 */
const GLOBAL_UNICAST = 0x2000;
const GLOBAL_UNICAST_MASK = 0xe000;

/**
 * refusedRange names the range for which an IP address is refused; undefined: the address is public, or it is
 * private and private addresses are allowed. An address that contains another address (NAT64, 6to4, Teredo)
 * is refused. An IPv6 address that only writes an IPv4 address in another form (`::ffff:127.0.0.1`) counts as
 * that IPv4 address.
 */
export function refusedRange(address: string, allowPrivate: boolean): string | undefined {
  if (isIP(address) === 0) return 'no IP address';
  const parsed = ipaddr.process(isIPv6(address) ? inHexadecimal(address) : address);
  if (METADATA_ADDRESSES.has(parsed.toString())) return 'metadata of the cloud';
  const range: string = parsed.range();
  if (allowPrivate && PRIVATE_RANGES.has(range)) return undefined;
  if (range !== 'unicast') return range;
  if (parsed instanceof ipaddr.IPv4) return undefined;
  return ((parsed.parts[0] ?? 0) & GLOBAL_UNICAST_MASK) === GLOBAL_UNICAST ? undefined : 'unallocated';
}

/**
 * The parser reads every IPv6 address with dots at its end as an IPv4 address, but `::1.1.1.1` is not
 * 1.1.1.1.
 */
function inHexadecimal(address: string): string {
  const { hostname } = new URL(`http://[${address.replace(/%.*/, '')}]`);
  return hostname.slice(1, -1);
}
