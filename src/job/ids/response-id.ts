/**
 * The id of a response, and of a chat completion, is computed from its job's id, and the job's id from
 * either. A job of another BullMQ client may have any id.
 */
const OURS = /^job_([0-9a-f]{32})$/;
const FROM_OURS = /^(?:job_|resp_|chatcmpl-)([0-9a-f]{32})$/;
const FROM_OTHERS = /^resp_x((?:[0-9a-f]{2})+)$/;

export function responseIdOf(jobId: string): string {
  const ours = OURS.exec(jobId)?.[1];
  return ours === undefined ? `resp_x${Buffer.from(jobId).toString('hex')}` : `resp_${ours}`;
}

/**
 * jobIdOf returns the id of the job that an id stands for: of the job itself, of its response, or of its chat
 * completion. undefined: the queue makes no such ids.
 */
export function jobIdOf(id: string): string | undefined {
  const ours = FROM_OURS.exec(id)?.[1];
  if (ours !== undefined) return `job_${ours}`;
  const others = FROM_OTHERS.exec(id)?.[1];
  return others === undefined ? undefined : Buffer.from(others, 'hex').toString();
}

/** withoutPrefix removes the beginning of an id of a response or a chat completion from a part of an id. */
export function withoutPrefix(part: string): string {
  return part.replace(/^(?:resp_|chatcmpl-)/, '');
}

/**
 * publicId returns the id by which callers know a job. BullMQ numbers the jobs of a client that gives no id.
 * A number alone does not say in which queue the job is, so the public id is the model's name, a colon and
 * the number.
 */
export function publicId(model: string, id: string): string {
  return /^\d+$/.test(id) ? `${model}:${id}` : id;
}
