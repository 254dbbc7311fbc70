import { z } from 'zod';
import type { Operation } from '../operation.ts';

export const receiveOpenAiWebhook: Operation = {
  id: 'receiveOpenAiWebhook',
  tag: 'OpenAI',
  summary: 'Receive a webhook of OpenAI',
  description:
    'Give this address to OpenAI. It needs no API key: webhooks are signed with `OPENAI_WEBHOOK_SECRET`.',
  headers: z.object({
    'webhook-id': z.string(),
    'webhook-timestamp': z.string(),
    'webhook-signature': z.string(),
  }),
  body: {
    schema: z.looseObject({ type: z.string(), data: z.unknown() }),
    examples: { completed: { type: 'response.completed', data: { id: 'resp_68c0a1f2b3d4' } } },
  },
  answers: {
    200: {
      description: 'Received. Without this answer OpenAI repeats the webhook for three days',
      content: { schema: z.strictObject({ status: z.enum(['received', 'duplicate', 'ignored']) }) },
    },
  },
  problems: ['invalid_signature', 'webhooks_not_configured', 'redis_unavailable'],
};
