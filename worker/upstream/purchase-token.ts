import type { UpstreamResponse } from '../../src/responses/response.ts';

/**
 * The one thing that this queue adds to what a caller sends, where webhooks can make use of it; no caller
 * ever sees it.
 */
const KEY = 'o3q_purchase';
/** OpenAI takes no more pairs; a caller's own go first. */
const MOST_PAIRS = 16;

/** The body with the token in its metadata, by which the response can be recognized when its id is lost. */
export function withPurchaseToken(body: Record<string, unknown>, token: string): Record<string, unknown> {
  const metadata = body['metadata'] ?? {};
  if (typeof metadata !== 'object' || Object.keys(metadata).length >= MOST_PAIRS) return body;
  return { ...body, metadata: { ...metadata, [KEY]: token } };
}

export function purchaseTokenOf({ metadata }: UpstreamResponse): string | undefined {
  return metadata?.[KEY];
}

/** The response as its caller would have got it. */
export function withoutPurchaseToken(response: UpstreamResponse): UpstreamResponse {
  const { [KEY]: token, ...metadata } = response.metadata ?? {};
  return token === undefined ? response : { ...response, metadata };
}
