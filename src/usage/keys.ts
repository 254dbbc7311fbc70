/**
 * What was spent on a model in one day, a tenant after the other: a hash in the model's slot, so that it is written in the same step as the end of a job.
 * @param day `YYYY-MM-DD`, in UTC.
 */
export function spendKey(prefix: string, model: string, day: string): string {
  return `${prefix}:spend:{${model}}:${day}`;
}

/** The models for which there may be such hashes, those included that are no longer configured: a set of their names, in a slot of its own. */
export function spendModelsKey(prefix: string): string {
  return `${prefix}:spend:models`;
}

/** What is summed. A field of the hash is the tenant (nothing: nobody's), a zero byte, and one of these. */
export const SPEND_FIELDS = [
  'requests',
  'input',
  'cached',
  'output',
  'reasoning',
  'nano_usd',
  'unpriced',
] as const;
export type SpendField = (typeof SPEND_FIELDS)[number];

export function spendField(tenant: string, field: SpendField): string {
  return `${tenant}\0${field}`;
}
