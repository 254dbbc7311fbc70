import { z } from 'zod';
import { MODEL_STATUSES } from '../../../src/models/view.ts';
import { noQuery } from '../../routes/job-queries.ts';
import type { Operation } from '../operation.ts';

const count = z.int().min(0);
const limit = z.number().nullable();

const modelState = z.strictObject({
  status: z.enum(MODEL_STATUSES).describe('`paused`: the upstream account has no money left.'),
  until: z.iso
    .datetime()
    .nullable()
    .describe('When one job tries again; null: it is open. In the past: with the next job.'),
  reason: z.string().nullable(),
  waiting: count.describe('Jobs in its line.'),
  in_flight: count.describe('Of `upstream_model`, whatever model they were asked for by.'),
  requests_last_minute: z.number(),
  tokens_last_minute: z.number(),
  shutdown_date: z.iso
    .date()
    .nullable()
    .describe('The day on which the upstream shuts `upstream_model` down; null: none is known.'),
});

export const modelView = z
  .strictObject({
    model: z.string(),
    upstream: z.string().describe('The upstream’s own name of it.'),
    fallbacks: z.array(z.string()).describe('Upstream models that take over, in this order.'),
    upstream_model: z.string().describe('What jobs are sent to now: the first of these that is not gone.'),
    limits: z
      .strictObject({ requests_per_minute: limit, tokens_per_minute: limit, max_in_flight: limit })
      .describe('As configured; null: not limited here.'),
    told_limits: z
      .strictObject({ requests_per_minute: limit, tokens_per_minute: limit })
      .describe('What the upstream says of its own; the smaller of the two holds.'),
    state: modelState,
  })
  .meta({ id: 'ConfiguredModel' });

const paused = {
  model: 'o3',
  upstream: 'o3',
  fallbacks: ['gpt-5.6-sol'],
  upstream_model: 'o3',
  limits: { requests_per_minute: 600, tokens_per_minute: null, max_in_flight: null },
  told_limits: { requests_per_minute: 500, tokens_per_minute: 30_000 },
  state: {
    status: 'paused',
    until: '2026-03-01T12:01:00.000Z',
    reason:
      'quota exhausted (the upstream account of o3 has no money left); one job tries again at 2026-03-01T12:01:00.000Z, or all jobs after `o3q resume o3`',
    waiting: 212,
    in_flight: 0,
    requests_last_minute: 31,
    tokens_last_minute: 24_870,
    shutdown_date: '2026-12-11',
  },
};

export const listConfiguredModels: Operation = {
  id: 'listConfiguredModels',
  tag: 'instance',
  summary: 'See how the configured models stand',
  description: 'Their limits, how much of each is used, how many jobs wait, and why. For `admin`.',
  query: noQuery,
  answers: {
    200: {
      description: 'Each configured model',
      content: {
        schema: z.strictObject({ models: z.array(modelView) }),
        examples: { paused: { models: [paused] } },
      },
    },
  },
  problems: ['redis_unavailable'],
};

export const resumeModel: Operation = {
  id: 'resumeModel',
  tag: 'instance',
  summary: 'End the pause of a model',
  description:
    'Its upstream account had no money left, and has again: its jobs, which have waited, are sent at once. Without this a job probes once a minute, later every ten. For `admin`.',
  query: noQuery,
  answers: {
    200: {
      description: 'Not paused any more',
      content: {
        schema: z.strictObject({
          model: z.string(),
          upstream_models: z.array(z.string()).describe('The model’s, and its fallbacks.'),
          resumed: z.boolean().describe('Whether one of them was paused.'),
        }),
        examples: { resumed: { model: 'o3', upstream_models: ['o3', 'gpt-5.6-sol'], resumed: true } },
      },
    },
  },
  problems: ['model_not_configured', 'redis_unavailable'],
};
