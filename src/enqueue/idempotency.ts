import { createHash } from 'node:crypto';
import { v4 as uuid } from 'uuid';
import { refusalOf } from '../errors/input.ts';
import { canonicalJson } from '../job/exact-json.ts';
import { idempotencyKeyFlaw } from '../job/job-queue.ts';
import type { ParsedRequest } from '../job/request.ts';
import type { IdempotencyMark } from '../job/stored-options.ts';
import { tenantInView } from '../job/tenant.ts';

/** JobKey is what a job stores about its idempotency key. The key itself is not stored. */
export interface JobKey {
  /** The id of the only job that this key of this tenant can have. */
  id: string;
  mark: IdempotencyMark;
}

/**
 * jobKeyOf makes the JobKey of one call. The key has no record of its own: it is in use while its job exists,
 * so a crash cannot leave one without the other.
 *
 * @param tenant `NO_TENANT` for none.
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

/** 128 bits in hexadecimal. */
function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
