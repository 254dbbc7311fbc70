import { createHash } from 'node:crypto';
import { z } from 'zod';
import { shown } from '../../errors/input.ts';
import type { Flaw } from '../../errors/problem.ts';

/**
 * Names that every JavaScript object has. As keys they would be lost, or would change the reader's objects.
 */
const RESERVED_KEYS = new Set(['__proto__', 'constructor', 'prototype']);

/** AGENT is the key of metadata that has the name of the agent which asked. `POST /mcp` sets it. */
export const AGENT = 'agent';

/** metadata has OpenAI's limits: at most 16 pairs, keys of up to 64 characters, strings of up to 512. */
export const metadata = z
  .custom<Record<string, string>>()
  .superRefine((value: unknown, context) => {
    for (const flaw of metadataFlaws(value)) {
      context.addIssue({ code: 'custom', message: flaw.message, path: flaw.path === '' ? [] : [flaw.path] });
    }
  })
  // The same rules for the OpenAPI document, which cannot contain code.
  .meta({
    type: 'object',
    description: 'Kept with the job and sent to the upstream.',
    maxProperties: 16,
    propertyNames: { type: 'string', minLength: 1, maxLength: 64 },
    additionalProperties: { type: 'string', maxLength: 512 },
  });

/** How long a term is, in hexadecimal digits: two pairs of an instance do not get the same 80 bits. */
export const TERM_LENGTH = 20;

/** termOf returns a short name for one pair of metadata, under which jobs with that pair are found. */
export function termOf(key: string, value: string): string {
  return createHash('sha1')
    .update(JSON.stringify([key, value]))
    .digest('hex')
    .slice(0, TERM_LENGTH);
}

/** termsOf returns the terms of metadata, separated by blanks. */
export function termsOf(pairs: Readonly<Record<string, string>>): string {
  return Object.entries(pairs)
    .map(([key, value]) => termOf(key, value))
    .join(' ');
}

function metadataFlaws(value: unknown): Flaw[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [{ path: '', message: `expected an object of strings, got ${shown(value)}` }];
  }
  const entries = Object.entries(value);
  // The pairs are not listed one by one: a refusal must not be larger than its request.
  if (entries.length > 16) return [{ path: '', message: `expected at most 16 pairs, got ${entries.length}` }];
  return entries.flatMap(([key, text]) => {
    const path = key.slice(0, 64);
    return pairFlaws(key, text).map((message) => ({ path, message }));
  });
}

function pairFlaws(key: string, text: unknown): string[] {
  const flaws: string[] = [];
  if (key === '' || key.length > 64) flaws.push(`expected a key of 1 to 64 characters, got ${key.length}`);
  if (RESERVED_KEYS.has(key) || hasControlCharacter(key)) {
    const rule = 'without control characters that is no reserved word of JavaScript';
    flaws.push(`expected a key ${rule}, got ${shown(key)}`);
  }
  if (typeof text !== 'string') flaws.push(`expected a string, got ${shown(text)}`);
  else if (text.length > 512) flaws.push(`expected at most 512 characters, got ${text.length}`);
  return flaws;
}

function hasControlCharacter(text: string): boolean {
  return [...text].some((character) => character < ' ' || character === '\u007f');
}
