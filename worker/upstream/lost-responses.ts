import type { UpstreamResponse } from '../../src/responses/response.ts';
import type { Upstream } from './client.ts';
import type { OpenAiEvents } from './openai-events.ts';
import { purchaseTokenOf } from './purchase-token.ts';

/**
 * LostResponses finds responses that were bought and whose ids did not reach the worker. OpenAI lists no
 * responses; its webhooks are the only way to find one.
 */
export interface LostResponses {
  /**
   * Waits for a webhook about the response whose create carried this token.
   * @param sinceMs responses that ended before this time are skipped.
   * @returns undefined when none came before the signal aborted.
   */
  findLostResponse(
    token: string,
    sinceMs: number,
    signal: AbortSignal,
  ): Promise<UpstreamResponse | undefined>;
}

/** Without this memory every job that searches would look up each response again. */
const REMEMBERED = 10_000;

export function createLostResponses(openAiEvents: OpenAiEvents, upstream: Upstream): LostResponses {
  /** By response id: its token, or undefined when it has none. */
  const tokens = new Map<string, string | undefined>();

  const look = async (id: string, signal: AbortSignal): Promise<UpstreamResponse | undefined> => {
    try {
      const response = await upstream.retrieve(id, signal);
      remember(id, purchaseTokenOf(response));
      return response;
    } catch {
      // The upstream has forgotten it, or is out of reach: in either case it is not found.
      return undefined;
    }
  };
  const remember = (id: string, token: string | undefined): void => {
    tokens.set(id, token);
    const [oldest] = tokens.keys();
    if (tokens.size > REMEMBERED && oldest !== undefined) tokens.delete(oldest);
  };

  return {
    async findLostResponse(token, sinceMs, signal) {
      for await (const id of openAiEvents.ended(sinceMs, signal)) {
        if (tokens.has(id) && tokens.get(id) !== token) continue;
        const response = await look(id, signal);
        if (response !== undefined && purchaseTokenOf(response) === token) return response;
      }
      return undefined;
    },
  };
}
