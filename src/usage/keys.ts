/**
 * What was spent on a model in one day, a tenant after the other: a hash in the model's slot, so that it is written in the same step as the end of a job.
 * @param day `YYYY-MM-DD`, in UTC.
 */
export function usageKey(prefix: string, model: string, day: string): string {
  return `${prefix}:usage:{${model}}:${day}`;
}

/** The models for which there may be such hashes, those included that are no longer configured: a set of their names, in a slot of its own. */
export function usageModelsKey(prefix: string): string {
  return `${prefix}:usage:models`;
}

/** What is summed. A field of the hash is the tenant (nothing: nobody's), a zero byte, and one of these. */
export const USAGE_FIELDS = [
  'requests',
  'input',
  'cached',
  'output',
  'reasoning',
  'nano_usd',
  'unpriced',
] as const;
export type UsageField = (typeof USAGE_FIELDS)[number];

export function usageField(tenant: string, field: UsageField): string {
  return `${tenant}\0${field}`;
}
