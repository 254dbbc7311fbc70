import type { Run } from '../response/run.ts';

/** Beside those that every reply has. */
export type ReplyHeaders = Readonly<Record<string, string>>;

/** What a route decided, as data; `delivery.ts` makes it happen on the connection. */
export type Reply =
  | { readonly kind: 'json'; readonly body: object }
  | { readonly kind: 'html'; readonly status: number }
  /** The object of a response just created. */
  | { readonly kind: 'created'; readonly body: object; readonly headers: ReplyHeaders }
  /** A foreground response: the object, when it is finished. */
  | { readonly kind: 'wait'; readonly run: Run; readonly headers: ReplyHeaders }
  | {
      readonly kind: 'stream';
      readonly run: Run;
      readonly startingAfter: number;
      readonly obfuscated: boolean;
      readonly headers: ReplyHeaders;
    }
  /** Never answered: the connection is dropped, or stays open and silent. The run is the one nobody hears of. */
  | { readonly kind: 'reset' | 'hang'; readonly run: Run | undefined };

export const FROM_THE_BEGINNING = -1;
