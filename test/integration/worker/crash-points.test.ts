import type { ModelConfig, Models } from '../../../src/config/file.ts';
import { type CrashEnd, type CrashScenario, crashEverywhere } from '../../support/worker/crash-scenario.ts';
import { quickModels } from '../../support/worlds/instance.ts';

const SUITE_LIMIT_MS = 240_000;

type Trail = readonly string[];

interface Case extends CrashScenario {
  name: string;
  /**
   * What differs from a job that is completed in its first attempt, with one purchase beside those that the
   * crash lost.
   */
  expected(trail: Trail): Partial<CrashEnd>;
}

const SOLD = 'after POST /v1/responses 200';

const cases: Case[] = [
  { name: 'a streamed job', metadata: quick(), expected: () => ({}) },
  { name: 'a polled job', metadata: quick(), stream: false, expected: () => ({}) },
  {
    name: 'a job within a completion window',
    metadata: { ...quick(), sim: 'window_early' },
    window: '8h',
    world: { simulator: { windowModels: ['o3'] } },
    expected: () => ({}),
  },
  {
    name: 'a job whose response is still running when the next worker comes',
    metadata: slow(),
    meanwhile: 'die',
    expected: () => ({}),
  },
  {
    name: 'a job whose first response fails',
    // For a reason of its own: after five others in a row all jobs would wait.
    metadata: { ...quick(), sim: 'failed', sim_code: 'vector_store_timeout', sim_times: '1' },
    world: { models: o3With({ backoff: { baseMs: 0, maxMs: 0 } }) },
    expected(trail) {
      // The crash lost the id of the response that fails, so no worker ever looks it up.
      const isSpared = isLost(trail) && count(trail, SOLD) === 1;
      const isUncharged = trail.includes('after run.save') && !trail.includes('after job.give-back');
      return {
        attempt: isSpared || isUncharged ? 1 : 2,
        purchases: isSpared ? 1 : 2,
        responses: ['failed', ...completed(isLost(trail) && !isSpared ? 2 : 1)],
      };
    },
  },
  {
    name: 'a job that is throttled once, which is no attempt',
    metadata: { ...quick(), sim: '429', sim_times: '1', sim_retry_after_ms: '20' },
    expected: () => ({}),
  },
  {
    name: 'a job that is cancelled while it runs',
    metadata: endless(),
    isEndless: true,
    meanwhile: 'cancel',
    expected(trail) {
      const responses = trail.includes('after purchase.store') ? ['cancelled'] : [];
      return {
        status: 'cancelled',
        purchases: responses.length,
        // No worker knows the id of a lost response, so that it runs on.
        responses: isLost(trail) ? ['in_progress'] : responses,
        bullmq: 'failed',
      };
    },
  },
  {
    name: 'a job that is cancelled while no worker has it',
    metadata: quick(),
    afterwards: 'cancel',
    expected: (trail) =>
      trail.includes('after run.finish')
        ? {}
        : { status: 'cancelled', purchases: count(trail, 'after purchase.store'), bullmq: 'failed' },
  },
  { name: 'a job whose worker stops', metadata: slow(), meanwhile: 'leave', expected: () => ({}) },
  {
    name: 'a job that is cancelled while its worker gives it back',
    metadata: endless(),
    isEndless: true,
    meanwhile: 'leave',
    afterwards: 'cancel',
    expected: (trail) => {
      const purchases = count(trail, 'after purchase.store');
      return {
        status: 'cancelled',
        purchases,
        responses: isLost(trail) ? ['in_progress'] : Array(purchases).fill('cancelled'),
        bullmq: 'failed',
      };
    },
  },
  {
    name: 'a job that is not to be bought twice, whatever happens',
    metadata: quick(),
    world: { models: o3With({ onUncertain: 'fail' }) },
    expected: (trail) =>
      isUncertain(trail)
        ? {
            status: 'failed',
            error: 'purchase_uncertain',
            purchases: 0,
            responses: isLost(trail) ? ['completed'] : [],
            bullmq: 'failed',
          }
        : {},
  },
  {
    name: 'a job whose lock runs out between its end and the call that tells BullMQ of it',
    metadata: quick(),
    runsOutOfLocks: true,
    expected: () => ({}),
  },
  {
    name: 'a job of an upstream without background mode',
    metadata: quick(),
    world: { simulator: { background: 'rejected' } },
    expected: (trail) => boughtAgain(trail, 'completed'),
  },
  {
    name: 'a job whose connection is its response',
    metadata: slow(),
    world: { simulator: { background: 'rejected' } },
    meanwhile: 'die',
    expected: (trail) => boughtAgain(trail, 'cancelled'),
  },
];

describe('a worker that is killed between two lines of an attempt is followed by one that does the right thing', () => {
  it.each(cases)(
    'for $name',
    async ({ expected, ...scenario }) => {
      const crashed = await crashEverywhere(scenario);
      const byPlace = (lookAt: (job: (typeof crashed)[number]) => unknown): Record<string, unknown> =>
        Object.fromEntries(crashed.map((job, i) => [`${i}. ${job.trail.at(-1)}`, lookAt(job)]));
      expect(byPlace(({ end }) => end)).toEqual(byPlace(({ trail }) => endAfter(trail, expected(trail))));
    },
    SUITE_LIMIT_MS,
  );
});

function endAfter(trail: Trail, different: Partial<CrashEnd>): CrashEnd {
  const { status = 'completed', purchases = 1 } = different;
  return {
    status,
    attempt: 1,
    purchases,
    uncertain_purchases: Number(isUncertain(trail)),
    ...(status === 'completed' && { answered: true }),
    responses: completed(purchases + Number(isLost(trail))),
    bullmq: 'completed',
    lock: null,
    ...different,
  };
}

/** What went on since a create was marked whose end is not on the record; empty: there is none. */
function unresolved(trail: Trail): Trail {
  const markedAt = trail.findLastIndex((name) => /^after .*purchase\.mark$/.test(name));
  const sinceMark = markedAt < 0 ? [] : trail.slice(markedAt);
  const isResolved = sinceMark.some((name) => name === 'after purchase.store' || name === 'after run.save');
  return isResolved ? [] : sinceMark;
}

const isUncertain = (trail: Trail): boolean => unresolved(trail).length > 0;
/** The upstream has sold a response whose id is in no record. */
const isLost = (trail: Trail): boolean => unresolved(trail).includes(SOLD);
/**
 * A foreground response goes down with its worker; what was bought before is on the record, unless it was
 * lost.
 */
function boughtAgain(trail: Trail, fate: 'completed' | 'cancelled'): Partial<CrashEnd> {
  const isAgain = trail.includes('after purchase.store') && !trail.includes('after run.finish');
  return {
    purchases: isAgain ? 2 : 1,
    responses: isAgain || isLost(trail) ? [fate, 'completed'] : ['completed'],
  };
}

function count(trail: Trail, name: string): number {
  return trail.filter((passed) => passed === name).length;
}

function completed(length: number): string[] {
  return Array.from({ length }, () => 'completed');
}

/** Over soon, so that jobs come to their last place. */
function quick(): Record<string, string> {
  return { sim_think_ms: '150', sim_deltas: '5' };
}

/** Runs until it is cancelled, however long a busy machine takes to bring all jobs to their places. */
function endless(): Record<string, string> {
  return { sim: 'stall', sim_events: '3' };
}

/**
 * Still thinking when all jobs are at their places, and when the next worker comes: at a load of ten after 3
 * s.
 */
function slow(): Record<string, string> {
  return { sim_think_ms: '8000', sim_deltas: '5' };
}

function o3With(different: Partial<ModelConfig>): { models: Models['models'] } {
  const { models } = quickModels();
  return {
    models: Object.fromEntries(
      Object.entries(models).map(([name, model]) => [name, { ...model, ...different }]),
    ),
  };
}
