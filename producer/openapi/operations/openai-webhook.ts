import { z } from 'zod';
import type { Operation } from '../operation.ts';

export const receiveOpenAiWebhook: Operation = {
  id: 'receiveOpenAiWebhook',
  tag: 'OpenAI',
  summary: 'Take a webhook of OpenAI',
  description: 'The address to give to OpenAI. It needs no key: `OPENAI_WEBHOOK_SECRET` has signed it.',
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
      description: 'Taken. OpenAI sends it again for three days unless it hears this',
      content: { schema: z.strictObject({ status: z.enum(['received', 'duplicate', 'ignored']) }) },
    },
  },
  problems: ['invalid_signature', 'webhooks_not_configured', 'redis_unavailable'],
};
