import { Webhook } from 'standardwebhooks';

/** WebhookSignature signs a payload. It returns the headers that carry the signature. */
export type WebhookSignature = (
  webhookId: string,
  sentAtMs: number,
  payload: string,
) => Record<string, string>;

/** WebhookTarget is where webhooks are sent, and what signs them. */
export type WebhookTarget = { readonly url: string; readonly sign: WebhookSignature };

const PREFIX = 'whsec_';

/**
 * @param secret `whsec_` and the key in base64, or any text, which is the key itself. The SDK reads secrets
 * in the same way.
 */
export function createWebhookSignature(secret: string): WebhookSignature {
  const webhook = webhookOf(secret);
  return (webhookId, sentAtMs, payload) => ({
    'webhook-id': webhookId,
    'webhook-timestamp': String(Math.floor(sentAtMs / 1000)),
    'webhook-signature': webhook.sign(webhookId, new Date(sentAtMs), payload),
  });
}

function webhookOf(secret: string): Webhook {
  try {
    return secret.startsWith(PREFIX)
      ? new Webhook(secret)
      : new Webhook(Buffer.from(secret, 'utf8'), { format: 'raw' });
  } catch (error: unknown) {
    // The message does not quote the secret.
    throw new Error(`webhookSecret must be ${PREFIX} and base64, or any text without that prefix`, {
      cause: error,
    });
  }
}
