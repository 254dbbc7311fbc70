import type { UpstreamResponse } from '../../src/responses/response.ts';
import type { Upstream } from './client.ts';
import type { OpenAiEvents } from './openai-events.ts';

/**
 * LostResponses finds responses that were bought and whose ids did not reach the worker. OpenAI lists no
 * responses; its webhooks are the only way to find one.
 */
export interface LostResponses {
  /**
   * Waits for a webhook about the response whose create carried this fencing token.
   * @param sinceMs responses that ended before this time are skipped.
   * @returns undefined when none came before the signal aborted.
   */
  findLostResponse(
    fencingToken: string,
    sinceMs: number,
    signal: AbortSignal,
  ): Promise<UpstreamResponse | undefined>;
}

/** Without this memory every job that searches would look up each response again. */
const REMEMBERED = 10_000;

export function createLostResponses(openAiEvents: OpenAiEvents, upstream: Upstream): LostResponses {
  /** By response id: its fencing token, or undefined when it has none. */
  const fencingTokens = new Map<string, string | undefined>();

  const look = async (id: string, signal: AbortSignal): Promise<UpstreamResponse | undefined> => {
    try {
      const response = await upstream.retrieve(id, signal);
      remember(id, fencingTokenOf(response));
      return response;
    } catch {
      // The upstream has forgotten it, or is out of reach: in either case it is not found.
      return undefined;
    }
  };
  const remember = (id: string, fencingToken: string | undefined): void => {
    fencingTokens.set(id, fencingToken);
    const [oldest] = fencingTokens.keys();
    if (fencingTokens.size > REMEMBERED && oldest !== undefined) fencingTokens.delete(oldest);
  };

  return {
    async findLostResponse(fencingToken, sinceMs, signal) {
      for await (const id of openAiEvents.ended(sinceMs, signal)) {
        if (fencingTokens.has(id) && fencingTokens.get(id) !== fencingToken) continue;
        const response = await look(id, signal);
        if (response !== undefined && fencingTokenOf(response) === fencingToken) return response;
      }
      return undefined;
    },
  };
}

/**
 * The only thing that o3-queue adds to a caller's request, and only where webhooks are in use. No caller sees
 * it.
 */
const FENCING_TOKEN_KEY = 'o3q_purchase';
/** OpenAI accepts no more pairs, and the caller's own come first. */
const MOST_PAIRS = 16;

/**
 * withFencingToken puts the fencing token into the metadata of a body, by which a response is recognized
 * when its id is lost.
 */
export function withFencingToken(
  body: Record<string, unknown>,
  fencingToken: string,
): Record<string, unknown> {
  const metadata = body['metadata'] ?? {};
  if (typeof metadata !== 'object' || Object.keys(metadata).length >= MOST_PAIRS) return body;
  return { ...body, metadata: { ...metadata, [FENCING_TOKEN_KEY]: fencingToken } };
}

/**
 * fencingTokenOf returns the fencing token of the create that bought a response; undefined: it carried
 * none.
 */
export function fencingTokenOf({ metadata }: UpstreamResponse): string | undefined {
  return metadata?.[FENCING_TOKEN_KEY];
}

/** withoutFencingToken returns the response as its caller would have received it. */
export function withoutFencingToken(response: UpstreamResponse): UpstreamResponse {
  const { [FENCING_TOKEN_KEY]: fencingToken, ...metadata } = response.metadata ?? {};
  return fencingToken === undefined ? response : { ...response, metadata };
}
