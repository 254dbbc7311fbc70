import { isIP } from 'node:net';
import { z } from 'zod';
import { strictObject } from './strict-object.ts';

/** The first parts of the paths of a producer. Below one of them the routes would be ambiguous. */
const ROUTES =
  'actions|audit|board|console|docs|jobs|livez|login|logout|mcp|metrics|models|openapi.json|readyz|scaling|usage|v1|webhooks';

const basePath = z
  .string()
  .regex(
    new RegExp(`^(/|(?!/(${ROUTES})(/|$))(/(?!\\.{1,2}(/|$))[A-Za-z0-9._~-]+)+)$`),
    'expected / or a path such as /o3q, which does not begin like a route of o3-queue, has only letters, digits, ' +
      '".", "_", "~" and "-" between its slashes, and no slash at its end',
  );

/** An origin is compared with what a browser sends, which has small letters, no path and no usual port. */
const origin = z
  .string()
  .refine(
    (text) => /^https?:\/\//.test(text) && URL.canParse(text) && new URL(text).origin === text,
    'expected an exact origin as a browser sends it, such as https://app.example.com, with no path',
  );

/** The words for groups of addresses that Express knows. */
const ADDRESS_WORDS = ['loopback', 'linklocal', 'uniquelocal'];

const proxyAddress = z
  .string()
  .refine(
    isProxyAddress,
    `expected an IP address, a network such as 10.0.0.0/8, or one of ${ADDRESS_WORDS.join(', ')}`,
  );

function isProxyAddress(text: string): boolean {
  const [, address = '', bits] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const family = isIP(address);
  if (family === 0) return ADDRESS_WORDS.includes(text);
  return bits === undefined || (Number(bits) >= 1 && Number(bits) <= (family === 4 ? 32 : 128));
}

/** httpSchema has the settings of `http`: how callers reach a producer, and what they may send. */
export const httpSchema = strictObject({
  requestsPerMinute: z
    .int()
    .min(1)
    .default(60_000)
    .describe('Requests a minute that each key may make to one producer process.'),
  maxBodyMb: z
    .int()
    .min(1)
    .max(256)
    .default(50)
    .describe(
      'The longest body of a request, in MB. A producer has room for four of the longest ones at a time, or for ' +
        'as many as fit into an eighth of its heap; others wait.',
    ),
  basePath: basePath
    .default('/')
    .describe(
      'The path under which a proxy shows the producer, such as /o3q. The proxy may remove it or leave it: the ' +
        'producer answers with and without it, and all its links have it.',
    ),
  corsOrigins: z
    .array(origin)
    .default([])
    .describe(
      'The origins whose pages may call /jobs and /v1 from a browser, such as https://app.example.com. Default: none.',
    ),
  trustProxy: z
    .array(proxyAddress)
    .default([])
    .describe(
      'The addresses and networks of proxies whose X-Forwarded-For, -Proto and -Host count; also loopback, ' +
        'linklocal and uniquelocal. Default: none.',
    ),
}).describe('How callers reach a producer, and what they may send.');
