import { randomBytes } from 'node:crypto';
import { Agent, request } from 'undici';
import type { WebhookFault } from '../faults/faults.ts';
import type { LedgerWriter } from '../ledger/ledger.ts';
import { elapsedMs, endMs, type Run, statusOf } from '../response/run.ts';
import { createWebhookSignature, type WebhookSignature, type WebhookTarget } from './signature.ts';

/**
 * Webhooks announces the end of background responses as OpenAI does: with the id only, signed, at least once.
 */
export type Webhooks = {
  /** Takes a response that was just created, and sends a webhook when it ends. */
  follow(run: Run): void;
  /** Stops every timer and every call. */
  close(): void;
};

export type WebhooksDeps = {
  /** undefined: no webhooks are sent. */
  readonly target: WebhookTarget | undefined;
  readonly ledger: LedgerWriter;
  readonly now: () => number;
};

/** Message is one webhook; sending it again does not change it. */
type Message = { readonly webhookId: string; readonly payload: string; readonly sign: WebhookSignature };

/**
 * How often a webhook is sent at most. OpenAI retries for 72 hours; the simulator gives up after a few
 * minutes.
 */
const TRIES = 12;
const FIRST_BACKOFF_MS = 250;
const LONGEST_BACKOFF_MS = 30_000;
const ANSWER_MS = 15_000;
/** The most connections to the receiver: thousands of responses may end together. */
const CONNECTIONS = 32;
const DEFAULT_LATE_MS = 2000;
const USER_AGENT = 'OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)';

export function createWebhooks({ target, ledger, now }: WebhooksDeps): Webhooks {
  if (target === undefined) return { follow: () => {}, close: () => {} };
  const { url, sign } = target;
  const forge = createWebhookSignature(randomBytes(32).toString('hex'));
  const agent = new Agent({ connections: CONNECTIONS });
  const timers = new Set<NodeJS.Timeout>();
  let isClosed = false;

  const later = (waitMs: number, work: () => void): NodeJS.Timeout | undefined => {
    if (isClosed) return undefined;
    const timer = setTimeout(() => {
      timers.delete(timer);
      work();
    }, waitMs);
    timers.add(timer);
    return timer;
  };
  /** Never resolves after `close`, so that the code after it does not run. */
  const pause = (waitMs: number): Promise<void> => new Promise((resolve) => later(waitMs, resolve));

  const post = async ({ webhookId, payload, sign: signature }: Message): Promise<boolean> => {
    const { statusCode, body } = await request(url, {
      dispatcher: agent,
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': USER_AGENT,
        ...signature(webhookId, now(), payload),
      },
      body: payload,
      headersTimeout: ANSWER_MS,
      bodyTimeout: ANSWER_MS,
    });
    await body.dump();
    // A redirect is not followed: it counts as not delivered.
    return statusCode >= 200 && statusCode < 300;
  };

  const deliver = async (message: Message): Promise<void> => {
    for (let tries = 1; tries <= TRIES && !isClosed; tries += 1) {
      if (await post(message).catch(() => false)) {
        ledger.count('webhooks');
        return;
      }
      await pause(Math.min(FIRST_BACKOFF_MS * 2 ** (tries - 1), LONGEST_BACKOFF_MS));
    }
  };

  const send = async (message: Message, fault: WebhookFault | undefined, lateMs: number): Promise<void> => {
    switch (fault) {
      case undefined:
        return deliver(message);
      case 'webhook_lost':
        return;
      case 'webhook_twice':
        await deliver(message);
        return deliver(message);
      case 'webhook_late':
        later(lateMs, () => void deliver(message));
        return;
      case 'webhook_forged':
        // The forged webhook is sent once, because a forger would not retry.
        await post({ ...message, sign: forge }).catch(() => false);
        return;
      default: {
        const never: never = fault;
        return never;
      }
    }
  };

  const announceEnd = (run: Run): void => {
    const { sim } = run.script.request;
    const payload = JSON.stringify({
      id: `evt_${randomBytes(16).toString('hex')}`,
      object: 'event',
      type: `response.${statusOf(run, now())}`,
      created_at: Math.floor(now() / 1000),
      data: { id: run.script.id },
    });
    const message = { webhookId: `wh_${randomBytes(16).toString('hex')}`, payload, sign };
    void send(message, run.faults.webhook, sim.numbers.sim_webhook_ms ?? DEFAULT_LATE_MS);
  };

  return {
    follow(run) {
      if (!run.script.request.background) return;
      let timer: NodeJS.Timeout | undefined;
      const wait = (): void => {
        if (timer !== undefined) {
          clearTimeout(timer);
          timers.delete(timer);
        }
        const leftMs = endMs(run) - elapsedMs(run, now());
        if (leftMs <= 0) {
          run.watchers.delete(wait);
          announceEnd(run);
        } else if (Number.isFinite(leftMs)) timer = later(Math.ceil(leftMs), wait);
      };
      // A cancel makes the response end earlier.
      run.watchers.add(wait);
      wait();
    },

    close() {
      isClosed = true;
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
      void agent.destroy();
    },
  };
}
