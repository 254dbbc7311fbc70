/** RateLimit is how much an account may use of one model in any 60 seconds. */
export type RateLimit = {
  /** The number of creates. Default: any number. */
  readonly requestsPerMinute?: number | undefined;
  /**
   * The tokens of the creates: input, reasoning and output. They are counted when the create arrives.
   * Default: any number.
   */
  readonly tokensPerMinute?: number | undefined;
};

/** RateLimitOptions are the limits of all models, and in `limits` those of single models. */
export type RateLimitOptions = RateLimit & {
  readonly limits?: Readonly<Record<string, RateLimit>> | undefined;
};

/** LimitOf finds the limit of a model by its id. */
export type LimitOf = (model: string) => RateLimit;

const NAMES = ['requestsPerMinute', 'tokensPerMinute'] as const;

/**
 * resolveLimits checks the limits. When a model's own entry leaves a value out, the limit of all models
 * applies.
 */
export function resolveLimits(options: RateLimitOptions, models: readonly string[]): LimitOf {
  const forAll = checked('', options);
  const own = new Map<string, RateLimit>();
  for (const [model, limit] of Object.entries(options.limits ?? {})) {
    if (!models.includes(model)) {
      throw new Error(`limits must name models of the simulator (${models.join(', ')}), got ${model}`);
    }
    for (const name of Object.keys(limit)) {
      if ((NAMES as readonly string[]).includes(name)) continue;
      throw new Error(`limits.${model} may only have ${NAMES.join(' and ')}, got ${name}`);
    }
    own.set(model, checked(`limits.${model}.`, limit));
  }
  return (model) => ({ ...forAll, ...own.get(model) });
}

/** Returns only the values that are set, so that spreading it over another limit keeps the other's values. */
function checked(path: string, limit: RateLimit): RateLimit {
  const set = NAMES.flatMap((name) => {
    const value = limit[name];
    if (value === undefined) return [];
    if (Number.isSafeInteger(value) && value >= 1) return [[name, value] as const];
    throw new Error(`${path}${name} must be a whole number, 1 or more, got ${value}`);
  });
  return Object.fromEntries(set);
}
