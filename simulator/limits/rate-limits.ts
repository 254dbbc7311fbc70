import type { ReplyHeaders } from '../http/reply.ts';
import { goDuration } from './go-duration.ts';
import type { LimitOf, RateLimit } from './rate-limit.ts';
import { type LimitKind, overLimit, overWholeLimit } from './rate-limit-refusals.ts';
import { type Amount, createRateWindow, type RateWindow } from './rate-window.ts';

/** What `GET /simulator/limits` says of one model, since the start or the last reset. */
export type LimitReport = {
  readonly limits: { readonly requests_per_minute: number | null; readonly tokens_per_minute: number | null };
  /** In the 60 seconds until now. */
  readonly used: Amount;
  /** The most in any 60 seconds. */
  readonly peak: Amount;
  /** Creates that were let through, and creates that were over the limit. */
  readonly accepted: number;
  readonly refused: number;
  /** Of the creates that were let through. */
  readonly tokens: number;
  /** Unix milliseconds. */
  readonly first_accepted_at: number | null;
  readonly last_accepted_at: number | null;
};

export type RateLimits = {
  /** Takes room for one create, and hands back the headers that its reply carries; or throws OpenAI's 429, taking nothing. */
  take(model: string, tokens: number): ReplyHeaders;
  /** Of every model that has a limit or was asked for. */
  report(): Record<string, LimitReport>;
  /** Forgets all that was taken: the limits are whole again. */
  reset(): void;
};

export type RateLimitsDeps = {
  readonly models: readonly string[];
  readonly limitOf: LimitOf;
  readonly now: () => number;
  readonly onRefused: () => void;
};

type Book = {
  readonly window: RateWindow;
  peak: Amount;
  accepted: number;
  refused: number;
  tokens: number;
  firstAtMs: number | undefined;
  lastAtMs: number | undefined;
};

export function createRateLimits({ models, limitOf, now, onRefused }: RateLimitsDeps): RateLimits {
  const books = new Map<string, Book>();
  const open = (): void => {
    for (const model of models) if (Object.keys(limitOf(model)).length > 0) books.set(model, newBook());
  };
  const bookOf = (model: string): Book => {
    const book = books.get(model) ?? newBook();
    books.set(model, book);
    return book;
  };
  open();
  return {
    take: (model, tokens) => {
      const book = bookOf(model);
      const limit = limitOf(model);
      const nowMs = now();
      const refused = refusalOf(model, limit, book.window, tokens, nowMs);
      if (refused) {
        book.refused += 1;
        onRefused();
        throw refused;
      }
      accept(book, tokens, nowMs);
      return headersOf(limit, book.window, nowMs);
    },
    report: () =>
      Object.fromEntries([...books].map(([model, book]) => [model, reportOf(book, limitOf(model), now())])),
    reset: () => {
      books.clear();
      open();
    },
  };
}

function newBook(): Book {
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

/** The limit that takes longer to make room is the one that is told of: who waits for it has waited for both. */
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

/** Nothing peaks but where something is taken, so the peak is exact without looking at any other moment. */
function accept(book: Book, tokens: number, nowMs: number): void {
  book.window.take(tokens, nowMs);
  const used = book.window.used(nowMs);
  book.peak = {
    requests: Math.max(book.peak.requests, used.requests),
    tokens: Math.max(book.peak.tokens, used.tokens),
  };
  book.accepted += 1;
  book.tokens += tokens;
  book.firstAtMs ??= nowMs;
  book.lastAtMs = nowMs;
}

/** Only of the limits that are set; `reset` is when nothing would be used any more. */
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

function reportOf(book: Book, limit: RateLimit, nowMs: number): LimitReport {
  return {
    limits: {
      requests_per_minute: limit.requestsPerMinute ?? null,
      tokens_per_minute: limit.tokensPerMinute ?? null,
    },
    used: book.window.used(nowMs),
    peak: book.peak,
    accepted: book.accepted,
    refused: book.refused,
    tokens: book.tokens,
    first_accepted_at: book.firstAtMs === undefined ? null : Math.round(book.firstAtMs),
    last_accepted_at: book.lastAtMs === undefined ? null : Math.round(book.lastAtMs),
  };
}
