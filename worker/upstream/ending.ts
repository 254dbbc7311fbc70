import { setTimeout as sleep } from 'node:timers/promises';
import type { ProxyAddresses } from '../../src/config/upstream-address.ts';
import { createUpstreamAgent } from '../../src/config/upstream-agent.ts';
import { isFailure } from '../../src/errors/failure.ts';
import { parsed } from '../../src/errors/refusal-body.ts';
import type { UpstreamHeaders } from '../../src/job/fields/upstream-headers.ts';
import { type UpstreamResponse, upstreamResponseFrom } from '../../src/responses/response.ts';
import { failureFromSdk, judged } from './errors.ts';
import { withConnection } from './event-stream.ts';

const CONNECTIONS = 16;
const KEPT_ALIVE_MS = 60_000;
const ANSWER_MS = 10_000;
const CANCEL_TRIES = 3;
const CANCEL_PAUSE_MS = 500;

/** EndingCalls cancel and delete responses, over connections of their own. */
export interface EndingCalls {
  cancel(id: string, headers: UpstreamHeaders): Promise<UpstreamResponse | null>;
  delete(id: string, headers: UpstreamHeaders): Promise<boolean>;
  close(): Promise<void>;
}

interface CallOptions {
  signal: AbortSignal;
  headers: UpstreamHeaders;
  /** Tells `fetchThrough` which agent to use. */
  fetchOptions: object;
}

interface SdkReply {
  asResponse(): Promise<Response>;
}

/** SdkCalls are the calls of OpenAI's SDK. */
interface SdkCalls {
  cancel(id: string, options: CallOptions): SdkReply;
  delete(id: string, options: CallOptions): SdkReply;
}

/** @param textOf reads a reply. */
export function createEndingCalls(
  sdk: SdkCalls,
  proxy: ProxyAddresses | undefined,
  textOf: (reply: Response) => Promise<string>,
): EndingCalls {
  // A small pool: streams hold the other connections, and each of a hundred cancels would open one more.
  const agent = createUpstreamAgent(proxy, { connections: CONNECTIONS, keepAliveTimeout: KEPT_ALIVE_MS });
  const fetchOptions = { dispatcher: agent } as object;
  const call = (name: keyof SdkCalls, id: string, headers: UpstreamHeaders): Promise<string> =>
    withConnection(undefined, ANSWER_MS, async ({ signal }) =>
      textOf(await sdk[name](id, { signal, headers, fetchOptions }).asResponse()),
    );

  return {
    async cancel(id, headers) {
      for (let tries = 1; ; tries += 1) {
        try {
          return upstreamResponseFrom(parsed(await call('cancel', id, headers))) ?? null;
        } catch (error: unknown) {
          // The response has ended or was deleted meanwhile, so there is nothing left to stop.
          if (failureFromSdk(error)?.retryable !== true || tries === CANCEL_TRIES) return null;
        }
        await sleep(CANCEL_PAUSE_MS * tries);
      }
    },

    async delete(id, headers) {
      try {
        await judged(() => call('delete', id, headers));
        return true;
      } catch (error: unknown) {
        if (isFailure(error) && hasNothingToDelete(error.refusal?.status)) return false;
        throw error;
      }
    },

    close: () => agent.destroy(),
  };
}

/** Whether the response is gone already, or the server keeps no responses at all. */
function hasNothingToDelete(status: number | undefined): boolean {
  return status === 404 || status === 405 || status === 410 || status === 501;
}
