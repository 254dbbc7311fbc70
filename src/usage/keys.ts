/**
 * usageKey names the hash of what one model has used in one day, for all tenants. The hash is in the model's
 * slot, so that a script can write it in the same step as the end of a job.
 * @param day `YYYY-MM-DD`, in UTC.
 */
export function usageKey(prefix: string, model: string, day: string): string {
  return `${prefix}:usage:{${model}}:${day}`;
}

/**
 * usageModelsKey names the set of models that may have such hashes, including models that are no longer
 * configured.
 */
export function usageModelsKey(prefix: string): string {
  return `${prefix}:usage:models`;
}

/**
 * USAGE_FIELDS are the sums. A field of the hash is the tenant ('' for none), a zero byte, and one of these
 * names.
 */
export const USAGE_FIELDS = [
  'requests',
  'input',
  'cached',
  'output',
  'reasoning',
  'nano_usd',
  'saved_nano',
  'unpriced',
  'estimated',
  'estimated_nano',
] as const;
export type UsageField = (typeof USAGE_FIELDS)[number];

export function usageField(tenant: string, field: UsageField): string {
  return `${tenant}\0${field}`;
}
