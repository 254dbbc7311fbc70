import type { IncomingHttpHeaders } from 'node:http';
import { isIP, isIPv4 } from 'node:net';

/** Where a request comes from, as its browser says. `unknown`: no browser, an old one, or a person who typed the address. */
export type Provenance = 'same-origin' | 'foreign' | 'unknown';

/**
 * Other ports of the same host are foreign: on a machine of many services they belong to somebody else.
 * `Sec-Fetch-Site` is written by the browser alone and stays true behind a proxy that renames the host, but is only sent to https and loopback; `Origin` is for the rest.
 */
export function provenanceOf(headers: IncomingHttpHeaders): Provenance {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin' ? site : site === 'none' ? 'unknown' : 'foreign';
  if (headers.origin === undefined) return 'unknown';
  return hostOf(headers.origin) === headers.host?.toLowerCase() ? 'same-origin' : 'foreign';
}

/** Requests that may change something. A browser sends no others than GET and HEAD by itself, for a link or a picture. */
export function isWrite(method: string): boolean {
  return method !== 'GET' && method !== 'HEAD';
}

/**
 * Whether a Host header is an address, or the name of this machine for itself. Any other name may have been made to point here by the
 * stranger whose page is asking ("DNS rebinding"), and his page and we are then one origin to the browser.
 */
export function isOwnHost(host: string): boolean {
  const name = host.replace(/:\d*$/, '').toLowerCase();
  const address = /^\[(.+)\]$/.exec(name)?.[1] ?? name;
  return name === 'localhost' || isIP(address) !== 0;
}

/** Whether only this machine can reach what listens there. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/** null for an origin of `null`, which a browser sends when it will not say. */
function hostOf(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : null;
}
