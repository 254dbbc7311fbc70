import type { ReplyHeaders } from '../api/errors.ts';
import type { LimitOf, RateLimit } from './rate-limit.ts';
import { goDuration, type LimitKind, overLimit, overWholeLimit } from './rate-limit-refusals.ts';
import { type Amount, createRateWindow, type RateWindow } from './rate-window.ts';

/** LimitReport is what `GET /simulator/limits` shows for one model, since the start or the last reset. */
export type LimitReport = {
  readonly limits: { readonly requests_per_minute: number | null; readonly tokens_per_minute: number | null };
  /** The requests and tokens of the last 60 seconds. */
  readonly used: Amount;
  /** The most requests and tokens of any 60 seconds. */
  readonly peak: Amount;
  /** Creates that were accepted, and creates that a limit refused. */
  readonly accepted: number;
  readonly refused: number;
  /** Tokens of the accepted creates. */
  readonly tokens: number;
  /** Unix milliseconds. */
  readonly first_accepted_at: number | null;
  readonly last_accepted_at: number | null;
};

/** RateLimits counts the creates of every model against its limits. */
export type RateLimits = {
  /**
   * Counts one create. @returns the headers of its reply. @throws OpenAI's 429 when the create does not fit;
   * it is then not counted.
   */
  take(model: string, tokens: number): ReplyHeaders;
  /** Reports every model that has a limit or has had a create. */
  report(): Record<string, LimitReport>;
  /** Forgets all creates. */
  reset(): void;
};

export type RateLimitsDeps = {
  readonly models: readonly string[];
  readonly limitOf: LimitOf;
  readonly now: () => number;
  readonly onRefused: () => void;
};

type ModelUsage = {
  readonly window: RateWindow;
  peak: Amount;
  accepted: number;
  refused: number;
  tokens: number;
  firstAtMs: number | undefined;
  lastAtMs: number | undefined;
};

export function createRateLimits({ models, limitOf, now, onRefused }: RateLimitsDeps): RateLimits {
  const usages = new Map<string, ModelUsage>();
  const open = (): void => {
    for (const model of models) if (Object.keys(limitOf(model)).length > 0) usages.set(model, newUsage());
  };
  const usageOf = (model: string): ModelUsage => {
    const usage = usages.get(model) ?? newUsage();
    usages.set(model, usage);
    return usage;
  };
  open();
  return {
    take: (model, tokens) => {
      const usage = usageOf(model);
      const limit = limitOf(model);
      const nowMs = now();
      const refused = refusalOf(model, limit, usage.window, tokens, nowMs);
      if (refused) {
        usage.refused += 1;
        onRefused();
        throw refused;
      }
      accept(usage, tokens, nowMs);
      return headersOf(limit, usage.window, nowMs);
    },
    report: () =>
      Object.fromEntries(
        [...usages].map(([model, usage]) => [model, reportOf(usage, limitOf(model), now())]),
      ),
    reset: () => {
      usages.clear();
      open();
    },
  };
}

function newUsage(): ModelUsage {
  return {
    window: createRateWindow(),
    peak: { requests: 0, tokens: 0 },
    accepted: 0,
    refused: 0,
    tokens: 0,
    firstAtMs: undefined,
    lastAtMs: undefined,
  };
}

/**
 * The refusal names the limit that takes longer to make room. A caller who waits that long has waited long
 * enough for both limits.
 */
function refusalOf(model: string, limit: RateLimit, window: RateWindow, tokens: number, nowMs: number) {
  const { requestsPerMinute: requestLimit, tokensPerMinute: tokenLimit } = limit;
  if (tokenLimit !== undefined && tokens > tokenLimit) {
    return overWholeLimit({ model, kind: 'tokens', limit: tokenLimit, requested: tokens });
  }
  const used = window.used(nowMs);
  const requestWaitMs = requestLimit === undefined ? 0 : window.untilRequests(requestLimit, nowMs);
  const tokenWaitMs = tokenLimit === undefined ? 0 : window.untilTokens(tokenLimit, tokens, nowMs);
  const waitMs = Math.max(requestWaitMs, tokenWaitMs);
  if (waitMs <= 0) return undefined;
  const kind: LimitKind = tokenWaitMs >= requestWaitMs ? 'tokens' : 'requests';
  const full = {
    requests: { limit: requestLimit ?? 0, used: used.requests, requested: 1 },
    tokens: { limit: tokenLimit ?? 0, used: used.tokens, requested: tokens },
  }[kind];
  return overLimit({ model, kind, ...full, waitMs }, headersOf(limit, window, nowMs));
}

/**
 * Counts an accepted create. The use grows at no other moment, so it is enough to look for a new peak here.
 */
function accept(usage: ModelUsage, tokens: number, nowMs: number): void {
  usage.window.take(tokens, nowMs);
  const used = usage.window.used(nowMs);
  usage.peak = {
    requests: Math.max(usage.peak.requests, used.requests),
    tokens: Math.max(usage.peak.tokens, used.tokens),
  };
  usage.accepted += 1;
  usage.tokens += tokens;
  usage.firstAtMs ??= nowMs;
  usage.lastAtMs = nowMs;
}

/** The headers of the limits that are set. `reset` is the time until the window is empty. */
function headersOf(limit: RateLimit, window: RateWindow, nowMs: number): ReplyHeaders {
  const used = window.used(nowMs);
  const reset = goDuration(window.untilEmpty(nowMs));
  const headersFor = (kind: LimitKind, most: number | undefined): ReplyHeaders =>
    most === undefined
      ? {}
      : {
          [`x-ratelimit-limit-${kind}`]: String(most),
          [`x-ratelimit-remaining-${kind}`]: String(most - used[kind]),
          [`x-ratelimit-reset-${kind}`]: reset,
        };
  return {
    ...headersFor('requests', limit.requestsPerMinute),
    ...headersFor('tokens', limit.tokensPerMinute),
  };
}

function reportOf(usage: ModelUsage, limit: RateLimit, nowMs: number): LimitReport {
  return {
    limits: {
      requests_per_minute: limit.requestsPerMinute ?? null,
      tokens_per_minute: limit.tokensPerMinute ?? null,
    },
    used: usage.window.used(nowMs),
    peak: usage.peak,
    accepted: usage.accepted,
    refused: usage.refused,
    tokens: usage.tokens,
    first_accepted_at: usage.firstAtMs === undefined ? null : Math.round(usage.firstAtMs),
    last_accepted_at: usage.lastAtMs === undefined ? null : Math.round(usage.lastAtMs),
  };
}
