import type { Run } from './run.ts';

/** What a route decided, as data; `delivery.ts` makes it happen on the connection. */
export type Reply =
  | { readonly kind: 'json'; readonly body: object }
  | { readonly kind: 'html'; readonly status: number }
  /** The object of a response just created: with the rate-limit headers of a create. */
  | { readonly kind: 'created'; readonly body: object }
  /** A foreground response: the object, when it is finished. */
  | { readonly kind: 'wait'; readonly run: Run }
  | {
      readonly kind: 'stream';
      readonly run: Run;
      readonly startingAfter: number;
      readonly obfuscated: boolean;
    }
  /** Never answered: the connection is dropped, or stays open and silent. The run is the one nobody hears of. */
  | { readonly kind: 'reset' | 'hang'; readonly run: Run | undefined };

export const FROM_THE_BEGINNING = -1;
