import { O3ClientError } from '../../src/client/client-error.ts';

/** isTransient is true for errors of an instance that restarts, or of a proxy before it: ask again later. */
export function isTransient(error: unknown): error is O3ClientError {
  if (!(error instanceof O3ClientError)) return false;
  return error.code === 'instance_unreachable' || [502, 503, 504].includes(error.status ?? 0);
}
