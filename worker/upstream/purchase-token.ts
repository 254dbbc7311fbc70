import type { UpstreamResponse } from '../../src/responses/response.ts';

/**
 * The only thing that o3-queue adds to a caller's request, and only where webhooks are in use. No caller sees
 * it.
 */
const KEY = 'o3q_purchase';
/** OpenAI accepts no more pairs, and the caller's own come first. */
const MOST_PAIRS = 16;

/**
 * withPurchaseToken puts the token into the metadata of a body, by which a response is recognized when its id
 * is lost.
 */
export function withPurchaseToken(body: Record<string, unknown>, token: string): Record<string, unknown> {
  const metadata = body['metadata'] ?? {};
  if (typeof metadata !== 'object' || Object.keys(metadata).length >= MOST_PAIRS) return body;
  return { ...body, metadata: { ...metadata, [KEY]: token } };
}

/** purchaseTokenOf returns the token of the create that bought a response; undefined: it carried none. */
export function purchaseTokenOf({ metadata }: UpstreamResponse): string | undefined {
  return metadata?.[KEY];
}

/** withoutPurchaseToken returns the response as its caller would have received it. */
export function withoutPurchaseToken(response: UpstreamResponse): UpstreamResponse {
  const { [KEY]: token, ...metadata } = response.metadata ?? {};
  return token === undefined ? response : { ...response, metadata };
}
