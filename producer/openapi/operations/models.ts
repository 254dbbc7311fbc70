import { z } from 'zod';
import { BOARD_LIMIT_KINDS } from '../../../src/fair-queue/board-limits.ts';
import { RUNNABLE_LIMITS } from '../../../src/models/runnable.ts';
import { MODEL_STATUSES } from '../../../src/models/view.ts';
import { noQuery } from '../../routes/job-queries.ts';
import type { Operation } from '../operation.ts';

const count = z.int().min(0);
const limit = z.number().nullable();

const modelState = z.strictObject({
  status: z
    .enum(MODEL_STATUSES)
    .describe(
      '`paused`: no money, refused credentials or a wrong address, and one job at a time probes; or paused on Bull ' +
        'Board; or Redis takes no writes. `limited`: limited on Bull Board. `no_worker`: no worker is running.',
    ),
  until: z.iso
    .datetime()
    .nullable()
    .describe(
      'When one job tries again; a time in the past means with the next job. null: the model is open, or the time is unknown.',
    ),
  reason: z.string().nullable(),
  workers: count.describe('Running workers that take the model’s jobs.'),
  free_slots: count.describe('Jobs of the model that these workers can take now.'),
  waiting: count.describe('Jobs in the model’s fair queue.'),
  in_flight: count.describe(
    'Jobs in flight at `upstream_model`, from all models that use it, without those within a completion window.',
  ),
  in_flight_windowed: count.describe('The same for jobs within a completion window.'),
  no_windows_until: z.iso
    .datetime()
    .nullable()
    .describe('Until when the queue chooses no window, because the upstream has refused one. null: it may.'),
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
    upstream: z.string().describe('The upstream’s name of the model.'),
    fallbacks: z.array(z.string()).describe('Upstream models that take over, in this order.'),
    upstream_model: z
      .string()
      .describe('The upstream model that jobs are sent to now: the first of these that still exists.'),
    limits: z
      .strictObject({
        ...{ requests_per_minute: limit, tokens_per_minute: limit },
        ...{ max_in_flight: limit, max_in_flight_windowed: count },
      })
      .describe(
        'Limits of the configuration; null: none. Jobs within a completion window count only for the last one.',
      ),
    told_limits: z
      .strictObject({ requests_per_minute: limit, tokens_per_minute: limit })
      .describe(
        'Limits that the upstream reports. The smaller of the reported and the configured limit applies.',
      ),
    board: z
      .strictObject({
        paused: z.boolean(),
        concurrency: limit.describe('The most jobs that all workers hold at once; null: no limit.'),
        rate_limit: z
          .strictObject({ max: z.number(), duration_ms: z.number() })
          .nullable()
          .describe('The most jobs that start within a duration; null: no limit.'),
      })
      .describe('What was set on Bull Board, or by a BullMQ client. A resume ends it.'),
    state: modelState,
  })
  .meta({ id: 'ConfiguredModel' });

const paused = {
  model: 'o3',
  upstream: 'o3',
  fallbacks: ['gpt-5.6-sol'],
  upstream_model: 'o3',
  limits: {
    requests_per_minute: 600,
    tokens_per_minute: null,
    max_in_flight: null,
    max_in_flight_windowed: 2000,
  },
  told_limits: { requests_per_minute: 500, tokens_per_minute: 30_000 },
  board: { paused: false, concurrency: null, rate_limit: null },
  state: {
    status: 'paused',
    until: '2026-03-01T12:01:00.000Z',
    reason:
      'quota exhausted (the upstream account of o3 has no money left); one job tries again at ' +
      '2026-03-01T12:01:00.000Z, or all jobs after `o3q resume o3`',
    workers: 2,
    free_slots: 400,
    waiting: 212,
    in_flight: 0,
    in_flight_windowed: 0,
    no_windows_until: null,
    requests_last_minute: 31,
    tokens_last_minute: 24_870,
    shutdown_date: '2026-12-11',
  },
};

export const listConfiguredModels: Operation = {
  id: 'listConfiguredModels',
  tag: 'instance',
  summary: 'List the configured models',
  description: 'Each model with its limits, their use, its waiting jobs and why they wait. Only for `admin`.',
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

const modelScaling = z.strictObject({
  runnable: count.describe(
    'The part of `waiting` that no limit holds: these jobs need only workers with room.',
  ),
  waiting: count.describe(
    'Jobs that wait for their turn or for a worker, with the delayed ones that are due.',
  ),
  limited_by: z
    .enum(RUNNABLE_LIMITS)
    .nullable()
    .describe('What holds the other waiting jobs. null: every waiting job is runnable.'),
});

export const getScaling: Operation = {
  id: 'getScaling',
  tag: 'instance',
  summary: 'Read how many workers are needed',
  description:
    'For autoscalers: `runnable` and `in_flight` together are the jobs for which there should be slots. A ' +
    'job is runnable when no pause, no limit and no setting of Bull Board holds it, so that it would start ' +
    'with more workers. The numbers are of the whole fleet; each producer answers the same. Only for `admin`.',
  query: noQuery,
  answers: {
    200: {
      description: 'What waits, what could start, and how much room there is',
      content: {
        schema: z
          .strictObject({
            runnable: count.describe('Jobs of all models that only wait for workers with room.'),
            waiting: count.describe('Jobs of all models that wait, for workers or for anything else.'),
            in_flight: count.describe('Jobs that workers hold, or held when they died.'),
            slots: count.describe(
              'How many jobs the running workers can hold together. Jobs within a completion window have as many again.',
            ),
            models: z.record(z.string(), modelScaling).describe('By the name that callers use.'),
          })
          .meta({ id: 'Scaling' }),
        examples: {
          limited: {
            runnable: 12,
            waiting: 340,
            in_flight: 388,
            slots: 400,
            models: { o3: { runnable: 12, waiting: 340, limited_by: 'requests_per_minute' } },
          },
        },
      },
    },
  },
  problems: ['redis_unavailable'],
};

export const resumeModel: Operation = {
  id: 'resumeModel',
  tag: 'instance',
  summary: 'End the pauses and limits of a model',
  description:
    'Call this when the upstream account has money again: the waiting jobs are then sent at once. Else ' +
    'one job probes the upstream every minute at first, and every ten minutes later. It also ends a pause and ' +
    'limits that were set on Bull Board. Only for `admin`.',
  query: noQuery,
  answers: {
    200: {
      description: 'Nothing stops or limits the model any more',
      content: {
        schema: z.strictObject({
          model: z.string(),
          upstream_models: z
            .array(z.string())
            .describe('The upstream models of the model and of its fallbacks.'),
          resumed: z.boolean().describe('Whether anything was ended.'),
          ended_on_board: z
            .array(z.enum(BOARD_LIMIT_KINDS))
            .describe('What was set on Bull Board and is ended.'),
        }),
        examples: {
          resumed: {
            model: 'o3',
            upstream_models: ['o3', 'gpt-5.6-sol'],
            resumed: true,
            ended_on_board: ['concurrency'],
          },
        },
      },
    },
  },
  problems: ['model_not_configured', 'redis_unavailable'],
};
