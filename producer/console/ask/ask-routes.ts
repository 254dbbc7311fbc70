import express, { type Response, Router } from 'express';
import { v4 as uuid } from 'uuid';
import { parseJobRequest } from '../../../src/job/request.ts';
import type { QueueFor } from '../../access/caller.ts';
import { problemFrom } from '../../http/http-problem.ts';
import { redirectTo } from '../../http/links.ts';
import type { Document } from '../document.tsx';
import { pagePathOf } from '../job-page.tsx';
import { visitorOf } from '../navigation.tsx';
import { withZone } from '../parts.tsx';
import { type Asked, type AskPage, askPage } from './ask-page.tsx';

/** The largest form. A longer question needs the API. */
const LIMIT = '1mb';
const HOUR_MS = 3_600_000;

/**
 * askRoutes serves the form on which a person asks a question. The form has an idempotency key, so that it
 * makes one job even if it is sent twice.
 *
 * @param models the configured models, and the one that the form suggests, which may change.
 */
export function askRoutes(
  queueFor: QueueFor,
  models: { readonly names: readonly string[]; readonly suggested: string },
  send: (response: Response, status: number, document: Document) => void,
): Router {
  const router = Router();
  const show = (response: Response, status: number, page: Omit<AskPage, 'models'>): void =>
    send(response, status, askPage({ ...page, models: models.names }, visitorOf(response)));
  router.get('/ask', (_request, response) =>
    show(response, 200, { asked: askedIn({ model: models.suggested }) }),
  );
  router.post('/ask', express.urlencoded({ extended: false, limit: LIMIT }), async ({ body }, response) => {
    const form: Record<string, unknown> = typeof body === 'object' && body !== null ? { ...body } : {};
    const asked = askedIn(form);
    const queue = queueFor(response);
    try {
      const request = parseJobRequest(requestFrom(asked));
      if (form['act'] === 'quote') return show(response, 200, { asked, quote: await queue.quote(request) });
      const { job } = await queue.enqueue(request, asked.idempotency_key);
      redirectTo(response, pagePathOf(job.id));
    } catch (error: unknown) {
      const problem = problemFrom(error);
      if (problem === undefined) throw error;
      response.set(problem.headers);
      // What the person has written stays in the form. A new key lets it be changed and sent again.
      show(response, problem.status, {
        asked: { ...asked, idempotency_key: uuid() },
        refusal: problem.message,
      });
    }
  });
  return router;
}

function askedIn(form: Record<string, unknown>): Asked {
  const text = (field: keyof Asked): string => {
    const value = form[field];
    return typeof value === 'string' ? value : '';
  };
  return {
    question: text('question'),
    context: text('context'),
    model: text('model'),
    reasoning_effort: text('reasoning_effort'),
    max_output_tokens: text('max_output_tokens'),
    give_up_hours: text('give_up_hours'),
    needed_by: withZone(text('needed_by')),
    idempotency_key: text('idempotency_key') || uuid(),
  };
}

/** An empty field is not sent. `parseJobRequest` refuses what is wrong with the others. */
function requestFrom(asked: Asked): Record<string, unknown> {
  const { question, context, model, reasoning_effort, max_output_tokens: most } = asked;
  const { give_up_hours: hours, needed_by: neededBy } = asked;
  return {
    question,
    ...(context !== '' && { context }),
    ...(model !== '' && { model }),
    ...(reasoning_effort !== '' && { reasoning_effort }),
    ...(most !== '' && { max_output_tokens: Number(most) }),
    ...(neededBy !== '' && { needed_by: neededBy }),
    ...(Number(hours) > 0 && { deadline: new Date(Date.now() + Number(hours) * HOUR_MS).toISOString() }),
  };
}
