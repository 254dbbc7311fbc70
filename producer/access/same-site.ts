import type { IncomingHttpHeaders } from 'node:http';
import { isIP, isIPv4 } from 'node:net';

/**
 * Provenance is the origin of a request, as the browser states it. `unknown`: not a browser, an old browser,
 * or an address that a person typed.
 */
export type Provenance = 'same-origin' | 'foreign' | 'unknown';

/**
 * provenanceOf reads the origin of a request. Another port of the same host counts as foreign, because
 * another service may listen there. When a browser sends `Sec-Fetch-Site`, that header decides: only the
 * browser can write it, and it stays correct behind a proxy that renames the host. Browsers send it only to
 * https and loopback addresses; for other addresses `Origin` decides.
 *
 * @param host the host that the browser asked for. Default: the Host header.
 */
export function provenanceOf(headers: IncomingHttpHeaders, host = headers.host): Provenance {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin' ? site : site === 'none' ? 'unknown' : 'foreign';
  if (headers.origin === undefined) return 'unknown';
  return hostOf(headers.origin) === host?.toLowerCase() ? 'same-origin' : 'foreign';
}

/**
 * isWrite says whether a request may change something. For a link or an image a browser sends only GET and
 * HEAD.
 */
export function isWrite(method: string): boolean {
  return method !== 'GET' && method !== 'HEAD';
}

/**
 * isOwnHost says whether a Host header is an IP address or localhost. The author of a web page may have
 * pointed any other name at this machine (DNS rebinding). The browser then takes that page and this instance
 * for one origin.
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
