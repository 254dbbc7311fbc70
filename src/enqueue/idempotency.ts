import { createHash } from 'node:crypto';
import { refusalOf } from '../errors/input.ts';
import { idempotencyKeyFlaw } from '../job/job-queue.ts';
import type { JobRequest } from '../job/request.ts';

/** @throws {QueueError} `invalid_request` */
export function checkedIdempotencyKey(key: unknown): string {
  const flaw = idempotencyKeyFlaw(key);
  if (flaw !== undefined) throw refusalOf('idempotency key', [flaw]);
  return String(key);
}

/**
 * The id of the one job that this key of this tenant can have. The key needs no store of its own: it is taken as long as there is
 * the job, whoever forgets it and when, and no crash can leave one without the other. 128 bits, of which nobody sees the key.
 */
export function jobIdOfKey(tenant: string | undefined, key: string): string {
  return `job_${sha256(JSON.stringify([tenant ?? null, key]))}`;
}

/** The same for two requests that mean the same, in whatever order their fields came. */
export function fingerprintOf(request: JobRequest): string {
  return sha256(canonicalJson(request));
}

function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part) ? sorted(part) : part,
  );
}

function sorted(part: object): object {
  return Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)));
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
