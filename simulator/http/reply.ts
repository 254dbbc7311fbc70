import type { ReplyHeaders } from '../api/errors.ts';
import type { OddReply } from '../faults/odd-replies.ts';
import type { Run } from '../response/run.ts';

/** Reply is the answer that a route has chosen, as data. `delivery.ts` sends it. */
export type Reply =
  | { readonly kind: 'json'; readonly body: object; readonly headers?: ReplyHeaders }
  | { readonly kind: 'html'; readonly status: number }
  | { readonly kind: 'odd'; readonly reply: OddReply }
  /** A response that was just created. */
  | { readonly kind: 'created'; readonly body: object; readonly headers: ReplyHeaders }
  /** A foreground response: its object is sent when it is finished. */
  | { readonly kind: 'wait'; readonly run: Run; readonly headers: ReplyHeaders }
  | {
      readonly kind: 'stream';
      readonly run: Run;
      readonly startingAfter: number;
      readonly obfuscated: boolean;
      readonly headers: ReplyHeaders;
    }
  /**
   * There is no answer: the connection is reset, or stays open and silent. `run` is the response whose id the
   * caller never gets.
   */
  | { readonly kind: 'reset' | 'hang'; readonly run: Run | undefined };

export const FROM_THE_BEGINNING = -1;
