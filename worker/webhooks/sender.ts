import { Webhook } from 'standardwebhooks';
import { Client, type Dispatcher } from 'undici';
import { webhookUrlFlaw } from '../../src/job/fields/webhook-url.ts';
import { createGuardedConnect, type GuardOptions } from './guarded-connect.ts';

export interface WebhookSenderOptions extends Omit<GuardOptions, 'timeoutMs'> {
  /** `whsec_` and the key in base64. */
  secret: string;
  /** How long a receiver may take, from the connection to the last byte, in milliseconds. Default 15 s. */
  answerMs?: number;
}

/** OutgoingWebhook is one webhook as it is sent. */
export interface OutgoingWebhook {
  /** The id of the webhook. It is the same for each try, so that a receiver recognizes a repetition. */
  id: string;
  url: string;
  body: string;
}

/** Sent is the result of one try. `refused`: another try is useless. */
export type Sent =
  | { kind: 'delivered'; status: number }
  /** `status` is undefined when the receiver did not answer. */
  | { kind: 'failed' | 'refused'; why: string; status?: number };

export interface WebhookSender {
  /** Makes one try. Rejects only when the signal aborts. */
  send(webhook: OutgoingWebhook, signal: AbortSignal): Promise<Sent>;
}

const ANSWER_MS = 15_000;
const MOST_BYTES_READ = 4096;
const MOST_CHARACTERS_QUOTED = 500;

/** createWebhookSender posts webhooks in the format of https://www.standardwebhooks.com. */
export function createWebhookSender({
  secret,
  answerMs = ANSWER_MS,
  ...guard
}: WebhookSenderOptions): WebhookSender {
  const signer = new Webhook(secret);
  const connect = createGuardedConnect({ ...guard, timeoutMs: answerMs });

  const post = async (client: Client, { id, url, body }: OutgoingWebhook): Promise<Sent> => {
    const sentAt = new Date();
    const { origin, pathname, search } = new URL(url);
    // The client follows no redirects.
    const answer = await client.request({
      method: 'POST',
      path: `${pathname}${search}`,
      body,
      headers: {
        'content-type': 'application/json',
        'user-agent': 'o3-queue',
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1000)),
        'webhook-signature': signer.sign(id, sentAt, body),
      },
    });
    return judged(origin, answer.statusCode, await beginningOf(answer.body));
  };

  return {
    async send(webhook, signal) {
      const flaw = webhookUrlFlaw(webhook.url, guard.allowPrivate());
      if (flaw !== undefined) return { kind: 'refused', why: `webhook_url: ${flaw}` };
      const { origin } = new URL(webhook.url);
      // Each delivery has a connection of its own, so that the address is resolved and checked each time.
      // Destroying the client ends the request at once. A signal would take effect only after the connection
      // is made.
      const client = new Client(origin, { connect, pipelining: 0 });
      const end = (): void => void client.destroy();
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        end();
      }, answerMs);
      signal.addEventListener('abort', end, { once: true });
      if (signal.aborted) end();
      try {
        return await post(client, webhook);
      } catch (error: unknown) {
        signal.throwIfAborted();
        const why = isLate ? `no answer within ${answerMs / 1000} s` : reasonOf(error);
        return { kind: 'failed', why: `${origin}: ${why}` };
      } finally {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        end();
      }
    },
  };
}

function judged(origin: string, status: number, said: string): Sent {
  if (status >= 200 && status < 300) return { kind: 'delivered', status };
  const isRedirect = status >= 300 && status < 400;
  const why = `${origin} answered ${status}${isRedirect ? ' (redirects are not followed)' : ''}: ${said}`;
  // With "Gone" a receiver says that it wants no more webhooks.
  return { kind: status === 410 ? 'refused' : 'failed', why, status };
}

/** Reads the beginning of an answer, for the log. It never fails, because only the status decides. */
async function beginningOf(body: Dispatcher.ResponseData['body']): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= MOST_BYTES_READ) break;
    }
  } catch {
    // The body was cut off, or came too slowly.
  }
  return Buffer.concat(chunks).toString('utf8').slice(0, MOST_CHARACTERS_QUOTED);
}

/**
 * Returns the reason of an error. When several addresses of a host failed, each in another way, the
 * AggregateError itself has no message.
 */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '') return error.message;
  return error instanceof AggregateError ? error.errors.map(reasonOf).join(', ') : error.name;
}
