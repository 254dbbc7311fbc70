import { z } from 'zod';
import type { Operation } from '../operation.ts';

const stating = <Status extends string>(...statuses: Status[]) => ({
  schema: z.strictObject({ status: z.enum(statuses) }),
});

export const live: Operation = {
  id: 'live',
  tag: 'instance',
  summary: 'Check whether the process runs',
  answers: { 200: { description: 'It runs', content: stating('ok') } },
};

export const ready: Operation = {
  id: 'ready',
  tag: 'instance',
  summary: 'Check whether the instance can serve',
  answers: {
    200: {
      description:
        '`degraded`: it can serve, but some model does not answer right now, or a changed configuration is refused',
      content: {
        schema: z.strictObject({
          status: z.enum(['ok', 'degraded']),
          reasons: z
            .array(z.string())
            .optional()
            .describe('What is wrong, such as which model does not answer, and why.'),
        }),
        examples: {
          degraded: {
            status: 'degraded',
            reasons: [
              'o3: quota exhausted (the upstream account of o3 has no money left); the next job tries again',
            ],
          },
        },
      },
    },
    503: { description: 'It is about to stop', content: stating('draining') },
  },
  problems: ['redis_unavailable'],
};

export const readDocument: Operation = {
  id: 'openapi',
  tag: 'instance',
  summary: 'This document',
  answers: {
    200: {
      description: 'OpenAPI 3.1',
      content: {
        schema: z.looseObject({ openapi: z.string(), info: z.looseObject({ version: z.string() }) }),
      },
    },
  },
};
