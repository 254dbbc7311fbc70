import { TENANT_NAME } from '../job/tenant.ts';

/** ApiKey is a secret that identifies a caller's tenant. */
export interface ApiKey {
  /** The name of the tenant; `admin` sees the jobs of all tenants. */
  readonly name: string;
  readonly secret: string;
}

/** ADMIN is the name of the key that sees the jobs of all tenants, and the board. */
export const ADMIN = 'admin';

/** The characters that can be sent in a header unchanged, except the comma, which separates keys. */
const SECRET = /^[\x21-\x2b\x2d-\x7e]{16,256}$/;

/** The most secrets that a name may have: the old one and the new one, while it is being changed. */
const MOST_SECRETS = 2;

/**
 * parseApiKeys reads `name:secret[,name:secret]`, or lists everything that is wrong with it. A name may have two
 * secrets, so that its callers can change from one to the other. A flaw names the key by its number and never
 * quotes it: in a malformed list any text may be part of a secret.
 */
export function parseApiKeys(text: string): { keys: ApiKey[] } | { flaws: string[] } {
  const flaws: string[] = [];
  const keys: ApiKey[] = [];
  for (const [i, entry] of text.split(',').entries()) {
    const [, name = '', secret = ''] = /^([^:]*):(.*)$/s.exec(entry.trim()) ?? [];
    if (!TENANT_NAME.test(name)) {
      flaws.push(
        'expected name:secret[,name:secret], each name 1 to 64 letters, digits, ".", "_" or "-", got ' +
          `something else in key ${i + 1}`,
      );
    } else if (!SECRET.test(secret)) {
      flaws.push(
        'expected secrets of 16 to 256 printable characters without spaces or commas, got something ' +
          `else in key ${i + 1}; \`openssl rand -hex 32\` makes a good one`,
      );
    } else if (keys.some((key) => key.secret === secret)) {
      flaws.push(`expected every secret once, got one of them again in key ${i + 1}`);
    } else if (keys.filter((key) => key.name === name).length >= MOST_SECRETS) {
      flaws.push(`expected at most ${MOST_SECRETS} secrets of a name, got another in key ${i + 1}`);
    }
    keys.push({ name, secret });
  }
  return flaws.length === 0 ? { keys } : { flaws };
}
