import { z } from 'zod';
import type { Operation } from './operation.ts';

const stating = <Status extends string>(...statuses: Status[]) => ({
  schema: z.strictObject({ status: z.enum(statuses) }),
});

export const live: Operation = {
  id: 'live',
  tag: 'instance',
  summary: 'Whether the process runs',
  answers: { 200: { description: 'It runs', content: stating('ok') } },
};

export const ready: Operation = {
  id: 'ready',
  tag: 'instance',
  summary: 'Whether it can serve',
  answers: {
    200: { description: 'It can', content: stating('ok') },
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
