import { type ModelConfig, upstreamModelsOf } from '../../src/config/file.ts';
import type { QueueStatus } from '../../src/fair-queue/queue-status.ts';
import { daysUntil, isPast } from '../../src/models/catalog.ts';

/** The announced end of an upstream model, as it concerns a model that is sold by it. */
export interface ModelEnd {
  upstreamModel: string;
  /** `YYYY-MM-DD` */
  date: string;
  /** 0 or less: the day has come. */
  daysLeft: number;
  /** The whole day is over. */
  isPast: boolean;
  /** The upstream model that takes over; undefined: none. */
  successor: string | undefined;
}

/** So long before people are told, in days. */
const NOTICE_DAYS = 30;

/** Every end that is announced, of the model and of what takes over, in their order. */
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

/**
 * Whether somebody should hear of it: not when it is over and something has taken over, as it was meant to.
 */
export function isWorthNotice({ daysLeft, isPast: over, successor }: ModelEnd): boolean {
  return daysLeft <= NOTICE_DAYS && !(over && successor !== undefined);
}

/**
 * countOutliving estimates how many of the `waiting` jobs of a queue will not be answered before `end`, in
 * Unix milliseconds, if the queue keeps moving as its status says. 0 while its speed is unknown.
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
