import type { IncomingHttpHeaders } from 'node:http';
import { isIP, isIPv4 } from 'node:net';

/**
 * Provenance is the origin of a request, as the browser states it. `unknown`: not a browser, an old browser,
 * or an address that a person typed.
 */
export type Provenance = 'same-origin' | 'foreign' | 'unknown';

/**
 * provenanceOf reads the origin of a request. Another port of the same host is foreign, because it may be
 * another service. Only the browser can write `Sec-Fetch-Site`, which stays true behind a proxy that renames
 * the host; but browsers send it only to https and loopback. `Origin` decides for other addresses.
 */
export function provenanceOf(headers: IncomingHttpHeaders): Provenance {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin' ? site : site === 'none' ? 'unknown' : 'foreign';
  if (headers.origin === undefined) return 'unknown';
  return hostOf(headers.origin) === headers.host?.toLowerCase() ? 'same-origin' : 'foreign';
}

/**
 * isWrite says whether a request may change something. For a link or an image a browser sends only GET and
 * HEAD.
 */
export function isWrite(method: string): boolean {
  return method !== 'GET' && method !== 'HEAD';
}

/**
 * isOwnHost says whether a Host header is an IP address or localhost. Any other name may have been pointed at
 * this machine by the author of a web page (DNS rebinding); to the browser that page and this instance are
 * then one origin.
 */
export function isOwnHost(host: string): boolean {
  const name = host.replace(/:\d*$/, '').toLowerCase();
  const address = /^\[(.+)\]$/.exec(name)?.[1] ?? name;
  return name === 'localhost' || isIP(address) !== 0;
}

/** isLoopback says whether only this machine can reach what listens on the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/** hostOf returns null for the origin `null`, which a browser sends when it hides the origin. */
function hostOf(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : null;
}
