import { isIP, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Ranges of a development machine and of a private network, which a setting allows. */
const PRIVATE_RANGES = new Set(['loopback', 'private', 'uniqueLocal']);
/**
 * Addresses where clouds hand out credentials, beside the link-local 169.254.169.254; the first is a public
 * address.
 */
const METADATA_ADDRESSES = new Set(['168.63.129.16', 'fd00:ec2::254']);
/**
 * The allocated part of IPv6. An address outside is no host of the internet, such as `::7f00:1`, which holds
 * an IPv4 address.
 */
const GLOBAL_UNICAST = 0x2000;
const GLOBAL_UNICAST_MASK = 0xe000;

/**
 * refusedRange names the range for which an IP address is refused; undefined: it is public, or private where
 * that is allowed. Addresses that hold another one (NAT64, 6to4, Teredo) are refused; one that only spells an
 * IPv4 address (`::ffff:127.0.0.1`) counts as that address.
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
