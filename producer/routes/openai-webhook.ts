import OpenAI from 'openai';
import { z } from 'zod';
import { throttledErrors } from '../../src/async/throttled-errors.ts';
import type { Logger } from '../../src/process/log.ts';
import type { InstanceQueue } from '../../src/queue/instance-queue.ts';
import { HttpProblem } from '../http/http-problem.ts';
import type { Route, RouteInput } from '../http/route.ts';
import { receiveOpenAiWebhook } from '../openapi/operations/openai-webhook.ts';

/** The fields that are read. Of OpenAI's many events only the end of a response matters. */
const eventSchema = z.object({ type: z.string(), data: z.unknown() });
const responseSchema = z.object({ id: z.string().regex(/^[\w-]{1,200}$/) });

/**
 * webhookRoutes is `POST /webhooks/openai`, where OpenAI reports that a response has ended. A forged webhook
 * could only make workers look a response up, and the signature prevents even that. Unless the answer is 2xx,
 * OpenAI sends a webhook again for three days.
 *
 * @param secret verifies the signature; undefined: webhooks are refused.
 */
export function webhookRoutes(queue: InstanceQueue, secret: string | undefined, logger: Logger): Route[] {
  const unwrap = secret === undefined ? notConfigured : createUnwrap(secret, logger);
  return [
    {
      method: 'post',
      path: '/webhooks/openai',
      open: true,
      // The signature covers the bytes. A webhook is small: it names an event and a response.
      rawBodyLimit: '100kb',
      operation: receiveOpenAiWebhook,
      async handle({ headers, body }) {
        const event = eventSchema.safeParse(await unwrap(headers, body));
        if (!event.success) throw notAnEvent('an event with a type');
        const { type, data } = event.data;
        if (!type.startsWith('response.')) return { status: 200, body: { status: 'ignored' } };
        const response = responseSchema.safeParse(data);
        if (!response.success) throw notAnEvent(`a ${type} event with the response's id in data`);
        const isNew = await queue.receiveWebhook(String(headers['webhook-id']), response.data.id);
        return { status: 200, body: { status: isNew ? 'received' : 'duplicate' } };
      },
    },
  ];
}

type Unwrap = (headers: RouteInput['headers'], body: unknown) => Promise<unknown>;

const notConfigured: Unwrap = async () => {
  throw new HttpProblem(
    'webhooks_not_configured',
    'This instance accepts no webhooks: set OPENAI_WEBHOOK_SECRET to the signing secret that OpenAI ' +
      'showed when the webhook was created',
  );
};

function createUnwrap(secret: string, logger: Logger): Unwrap {
  const warn = throttledErrors((error) => logger.warn({ error: error.message }, 'a webhook was refused'));
  // Verifying a webhook sends no request, so the API key does not matter.
  const { webhooks } = new OpenAI({ apiKey: 'none', webhookSecret: secret, logLevel: 'off' });
  return async (headers, body) => {
    try {
      return await webhooks.unwrap(Buffer.isBuffer(body) ? body.toString('utf8') : '', headers);
    } catch (error: unknown) {
      if (error instanceof SyntaxError) {
        throw new HttpProblem('malformed_json', `The body was expected to be JSON: ${error.message}`);
      }
      const said = error instanceof Error ? error.message : String(error);
      const problem = new HttpProblem(
        'invalid_signature',
        `The webhook was expected to be signed with OPENAI_WEBHOOK_SECRET less than 5 minutes ago: ${said}`,
      );
      // OpenAI does not report the refusal: without this log line a wrong secret would look like no webhooks
      // at all.
      warn(problem);
      throw problem;
    }
  };
}

function notAnEvent(expected: string): HttpProblem {
  return new HttpProblem('invalid_request', `The webhook was expected to be ${expected}`);
}
