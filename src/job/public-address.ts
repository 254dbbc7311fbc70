import { isIP, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

/** The addresses of a machine itself and of private networks, which `allowPrivateWebhooks` opens. */
const PRIVATE_RANGES = new Set(['loopback', 'private', 'uniqueLocal']);
/**
 * Where clouds hand out credentials beside the link-local 169.254.169.254; the first even has a public
 * address.
 */
const METADATA_ADDRESSES = new Set(['168.63.129.16', 'fd00:ec2::254']);
/**
 * All that is allocated of IPv6: whatever lies outside is no host of the internet, such as `::7f00:1` with an
 * IPv4 address in it.
 */
const GLOBAL_UNICAST = 0x2000;
const GLOBAL_UNICAST_MASK = 0xe000;

/**
 * Why nothing may be sent to an IP address: the name of its range. undefined: it is a public host, or a
 * private one where those are allowed. Addresses that carry another one (NAT64, 6to4, Teredo) are refused as
 * such; one that only spells an IPv4 address (`::ffff:127.0.0.1`) is that address.
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
 * The parser takes each IPv6 address that ends in dots for one that only spells an IPv4 address, but
 * `::1.1.1.1` is not 1.1.1.1.
 */
function inHexadecimal(address: string): string {
  const { hostname } = new URL(`http://[${address.replace(/%.*/, '')}]`);
  return hostname.slice(1, -1);
}
