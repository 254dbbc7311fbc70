/**
 * A response's id is computed from its job's id, and the job's id from the response's id. A job of another
 * BullMQ client may have any id.
 */
const OURS = /^job_([0-9a-f]{32})$/;
const FROM_OURS = /^resp_([0-9a-f]{32})$/;
const FROM_OTHERS = /^resp_x((?:[0-9a-f]{2})+)$/;

export function responseIdOf(jobId: string): string {
  const ours = OURS.exec(jobId)?.[1];
  return ours === undefined ? `resp_x${Buffer.from(jobId).toString('hex')}` : `resp_${ours}`;
}

/** jobIdOf returns the id of a response's job; undefined: no job has such a response id. */
export function jobIdOf(responseId: string): string | undefined {
  const ours = FROM_OURS.exec(responseId)?.[1];
  if (ours !== undefined) return `job_${ours}`;
  const others = FROM_OTHERS.exec(responseId)?.[1];
  return others === undefined ? undefined : Buffer.from(others, 'hex').toString();
}
