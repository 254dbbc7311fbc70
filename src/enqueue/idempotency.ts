import { createHash } from 'node:crypto';
import { v4 as uuid } from 'uuid';
import { refusalOf } from '../errors/input.ts';
import { canonicalJson } from '../job/exact-json.ts';
import { idempotencyKeyFlaw } from '../job/fields/option-rules.ts';
import type { ParsedRequest } from '../job/request.ts';
import type { IdempotencyMark } from '../job/stored-options.ts';
import { tenantInView } from '../job/tenant.ts';

/** JobKey is what a job stores about its idempotency key. The key itself is not stored. */
export interface JobKey {
  /** The id of the job. It is computed from the tenant and the key, so the key can have only this one job. */
  id: string;
  mark: IdempotencyMark;
}

/**
 * jobKeyOf makes the JobKey of one call. The key has no record of its own: it is in use while its job exists.
 * So a crash cannot leave a key without its job, or a job without its key.
 *
 * @param tenant the tenant of the call; `NO_TENANT` for none.
 * @throws {QueueError} `invalid_request` for anything that is not an idempotency key.
 */
export function jobKeyOf(tenant: string, key: unknown, request: ParsedRequest): JobKey {
  const flaw = idempotencyKeyFlaw(key);
  if (flaw !== undefined) throw refusalOf('idempotency key', [flaw]);
  return {
    id: `job_${sha256(JSON.stringify([tenantInView(tenant), key]))}`,
    mark: { fingerprint: sha256(canonicalJson(request)), call: uuid() },
  };
}

/** sha256 returns the first 128 bits of the hash, in hexadecimal. */
function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
