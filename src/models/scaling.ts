import type { RunnableLimit } from './runnable.ts';
import type { ModelsSnapshot } from './status.ts';

/** ModelScaling is the part of a Scaling that concerns one model. */
export interface ModelScaling {
  /** The part of `waiting` that no limit holds: these jobs need only workers with room. */
  runnable: number;
  /** Jobs that wait for their turn or for a worker, with the delayed ones that are due. */
  waiting: number;
  /** What holds the other waiting jobs; null: every waiting job is runnable. */
  limited_by: RunnableLimit | null;
}

/**
 * Scaling is what an autoscaler reads to choose the number of workers. All numbers are of the whole fleet,
 * read from Redis: each producer answers the same.
 */
export interface Scaling {
  /** Jobs of all models that only wait for workers with room. */
  runnable: number;
  /** Jobs of all models that wait, for workers or for anything else. */
  waiting: number;
  /** Jobs that workers hold, or held when they died. */
  in_flight: number;
  /** How many jobs the living workers can hold together. Jobs within a completion window have as many again. */
  slots: number;
  /** By the name that callers use. */
  models: Record<string, ModelScaling>;
}

/**
 * scalingFrom returns the Scaling of a ModelsSnapshot.
 *
 * @param isReadOnly whether Redis takes no writes: no job starts then, however many workers there are.
 */
export function scalingFrom({ models }: ModelsSnapshot, isReadOnly: boolean): Scaling {
  const byModel = models.map(
    ({ model, runnable: { runnable, waiting, limitedBy } }): [string, ModelScaling] =>
      isReadOnly && waiting > 0
        ? [model, { runnable: 0, waiting, limited_by: 'redis_read_only' }]
        : [model, { runnable, waiting, limited_by: limitedBy }],
  );
  const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
  return {
    runnable: sum(byModel.map(([, { runnable }]) => runnable)),
    waiting: sum(byModel.map(([, { waiting }]) => waiting)),
    in_flight: sum(models.map(({ backlog }) => backlog.active)),
    slots: sum(models.map(({ workers }) => workers.slots)),
    models: Object.fromEntries(byModel),
  };
}
