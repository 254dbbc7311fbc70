import { type ModelConfig, upstreamModelsOf } from '../../src/config/file.ts';
import type { QueueStatus } from '../../src/fair-queue/queue-status.ts';
import { daysUntil, isPast } from '../../src/models/catalog.ts';

/** ModelEnd is the announced shutdown of an upstream model that a configured model uses. */
export interface ModelEnd {
  upstreamModel: string;
  /** `YYYY-MM-DD` */
  date: string;
  /** The number of days until the shutdown; 0 or less: the day has been reached. */
  daysLeft: number;
  /** Whether the day of the shutdown is over. */
  isPast: boolean;
  /** The upstream model that takes over the jobs; undefined: there is none. */
  successor: string | undefined;
}

/** The log warns from this many days before a shutdown. */
const NOTICE_DAYS = 30;

/**
 * endsOf returns the announced shutdowns of a model's upstream model and of its fallbacks, in their order.
 */
export function endsOf(
  config: Pick<ModelConfig, 'upstream' | 'fallbacks'>,
  dateOf: (upstreamModel: string) => string | undefined,
  now: number,
): ModelEnd[] {
  const upstreamModels = upstreamModelsOf(config);
  return upstreamModels.flatMap((upstreamModel, i) => {
    const date = dateOf(upstreamModel);
    if (date === undefined) return [];
    const successor = upstreamModels[i + 1];
    return [{ upstreamModel, date, daysLeft: daysUntil(date, now), isPast: isPast(date, now), successor }];
  });
}

/** isNearOrPast returns whether a worker logs a shutdown when it starts, including one that is over. */
export function isNearOrPast({ daysLeft }: ModelEnd): boolean {
  return daysLeft <= NOTICE_DAYS;
}

/**
 * isWorthNotice returns whether a shutdown is logged every day. The notices end when a configured fallback
 * has taken over.
 */
export function isWorthNotice(end: ModelEnd): boolean {
  return isNearOrPast(end) && !(end.isPast && end.successor !== undefined);
}

/**
 * countOutliving estimates how many of a queue's `waiting` jobs will not be answered before `end` (Unix
 * milliseconds), if the queue keeps the speed of its status. It returns 0 while that speed is unknown.
 */
export function countOutliving(
  waiting: number,
  { startsPerSecond = 0, durationMs = 0, notBefore }: QueueStatus,
  end: number,
  now: number,
): number {
  if (startsPerSecond <= 0) return 0;
  const startsForMs = end - durationMs - Math.max(now, notBefore);
  if (startsForMs < 0) return waiting;
  const answeredInTime = Math.floor((startsForMs * startsPerSecond) / 1000) + 1;
  return Math.max(0, waiting - answeredInTime);
}
