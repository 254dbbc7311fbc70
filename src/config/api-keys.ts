import { TENANT_NAME } from '../job/tenant.ts';

/** What a caller proves with who it is. */
export interface ApiKey {
  /** The tenant; `admin` sees everybody's jobs. */
  readonly name: string;
  readonly secret: string;
}

/** Whoever has this key sees everybody's jobs, and the board. */
export const ADMIN = 'admin';

/** What can be sent in a header as it is, and is no separator of the list. */
const SECRET = /^[\x21-\x2b\x2d-\x7e]{16,256}$/;

/**
 * `name:secret[,name:secret]`, or everything that is wrong with it. Says the place of what is wrong and never the text: in a list that was
 * written wrongly, anything may be a piece of a secret.
 */
export function parseApiKeys(text: string): { keys: ApiKey[] } | { flaws: string[] } {
  const flaws: string[] = [];
  const keys: ApiKey[] = [];
  for (const [i, entry] of text.split(',').entries()) {
    const [, name = '', secret = ''] = /^([^:]*):(.*)$/s.exec(entry.trim()) ?? [];
    if (!TENANT_NAME.test(name)) {
      flaws.push(
        `expected name:secret[,name:secret], each name 1 to 64 letters, digits, ".", "_" or "-", which key ${i + 1} has not`,
      );
    } else if (!SECRET.test(secret)) {
      flaws.push(
        `expected secrets of 16 to 256 printable characters without blanks and commas, which the one of key ${i + 1} is not; \`openssl rand -hex 32\` makes a good one`,
      );
    } else if (keys.some((key) => key.name === name || key.secret === secret)) {
      flaws.push(`expected every name and every secret once, which key ${i + 1} repeats`);
    }
    keys.push({ name, secret });
  }
  return flaws.length === 0 ? { keys } : { flaws };
}
