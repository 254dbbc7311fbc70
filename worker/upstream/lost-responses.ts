import type { UpstreamResponse } from '../../src/responses/response.ts';
import type { Upstream } from './client.ts';
import type { OpenAiEvents } from './openai-events.ts';
import { purchaseTokenOf } from './purchase-token.ts';

/** Responses that were bought and whose ids never came home. OpenAI lists no responses; its webhooks are the only way to find one. */
export interface LostResponses {
  /**
   * Waits for a webhook about the response whose create carried this token.
   * @param sinceMs nothing that ended before this time is looked at.
   * @returns undefined when there was none until the signal.
   */
  find(token: string, sinceMs: number, signal: AbortSignal): Promise<UpstreamResponse | undefined>;
}

/** Ids whose tokens are remembered: a lookup each would be repeated by every job that searches. */
const REMEMBERED = 10_000;

export function createLostResponses(news: OpenAiEvents, upstream: Upstream): LostResponses {
  /** By response id: its token, or undefined when it has none. */
  const tokens = new Map<string, string | undefined>();

  const look = async (id: string, signal: AbortSignal): Promise<UpstreamResponse | undefined> => {
    try {
      const response = await upstream.retrieve(id, signal);
      remember(id, purchaseTokenOf(response));
      return response;
    } catch {
      // Forgotten, or out of reach: then it is not found, and that is what this is asked.
      return undefined;
    }
  };
  const remember = (id: string, token: string | undefined): void => {
    tokens.set(id, token);
    const [oldest] = tokens.keys();
    if (tokens.size > REMEMBERED && oldest !== undefined) tokens.delete(oldest);
  };

  return {
    async find(token, sinceMs, signal) {
      for await (const id of news.ended(sinceMs, signal)) {
        if (tokens.has(id) && tokens.get(id) !== token) continue;
        const response = await look(id, signal);
        if (response !== undefined && purchaseTokenOf(response) === token) return response;
      }
      return undefined;
    },
  };
}
