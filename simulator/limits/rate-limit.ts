/** What an account may ask of one model in any 60 seconds. */
export type RateLimit = {
  /** Creates. Default: any number. */
  readonly requestsPerMinute?: number | undefined;
  /** Tokens of the creates: input, reasoning and output of each, counted when it comes. Default: any number. */
  readonly tokensPerMinute?: number | undefined;
};

export type RateLimitOptions = RateLimit & {
  readonly limits?: Readonly<Record<string, RateLimit>> | undefined;
};

/** The limit of a model by its id. */
export type LimitOf = (model: string) => RateLimit;

const NAMES = ['requestsPerMinute', 'tokensPerMinute'] as const;

/** What a model's own entry leaves out is as for all models. */
export function resolveLimits(options: RateLimitOptions, models: readonly string[]): LimitOf {
  const forAll = checked('', options);
  const own = new Map<string, RateLimit>();
  for (const [model, limit] of Object.entries(options.limits ?? {})) {
    if (!models.includes(model)) {
      throw new Error(`limits must name models that are there (${models.join(', ')}), got ${model}`);
    }
    for (const name of Object.keys(limit)) {
      if ((NAMES as readonly string[]).includes(name)) continue;
      throw new Error(`limits.${model} was expected to have only ${NAMES.join(' and ')}, got ${name}`);
    }
    own.set(model, checked(`limits.${model}.`, limit));
  }
  return (model) => ({ ...forAll, ...own.get(model) });
}

/** Only what is set, so that one spread over another keeps what the upper one leaves out. */
function checked(path: string, limit: RateLimit): RateLimit {
  const set = NAMES.flatMap((name) => {
    const value = limit[name];
    if (value === undefined) return [];
    if (Number.isSafeInteger(value) && value >= 1) return [[name, value] as const];
    throw new Error(`${path}${name} must be a whole number, 1 or more, got ${value}`);
  });
  return Object.fromEntries(set);
}
