import { Webhook } from 'standardwebhooks';

/** Signs a payload; the headers without which nobody believes it. */
export type WebhookSignature = (
  webhookId: string,
  sentAtMs: number,
  payload: string,
) => Record<string, string>;

const PREFIX = 'whsec_';

/** @param secret its key is what stands after `whsec_` in base64, or without that prefix the text itself, as the SDK has it. */
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
    // The secret itself stays out of the message.
    throw new Error(
      `webhookSecret was expected to be ${PREFIX} and base64, or any text without that prefix`,
      {
        cause: error,
      },
    );
  }
}
