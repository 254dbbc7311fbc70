import { z } from 'zod';

/** zonedTime is a time in ISO 8601. Without its zone a time would mean another moment to each reader. */
const zonedTime = z.iso.datetime({
  offset: true,
  error: 'expected a time in ISO 8601 with its zone, such as 2027-01-31T12:00:00Z',
});

/** ON_LATE is what may be done when the answer is not there by `needed_by`. */
export const ON_LATE = ['wait', 'buy_again'] as const;

/** timeOptions are the options of a request that say how long its job may take. */
export const timeOptions = {
  deadline: zonedTime
    .optional()
    .describe(
      'ISO 8601. At this time the job fails, in any status, and its response is cancelled. A waiting ' +
        'job fails when a worker takes it.',
    ),
  needed_by: zonedTime
    .optional()
    .describe(
      'ISO 8601. When the answer is needed. It is a wish: the job goes on after it. The more time is left when ' +
        'the job is sent, the longer and cheaper the completion window that is bought, where the upstream ' +
        'offers any. A time that has passed means as soon as possible. A `completion_window` in `request` ' +
        'counts first.',
    ),
  on_late: z
    .enum(ON_LATE)
    .optional()
    .describe(
      'What to do when `needed_by` comes before the answer. `wait` (the default): wait on. `buy_again`: cancel ' +
        'a response that was bought in a longer completion window and buy another at once, a second purchase. ' +
        'Needs `needed_by`.',
    ),
};

/** The type of `timeOptions`, written out for editors (see JobRequest). */
export interface TimeOptions {
  /**
   * ISO 8601. At this time the job fails, in any status, and its response is cancelled. A waiting job fails
   * when a worker takes it.
   */
  deadline?: string | undefined;
  /**
   * ISO 8601. When the answer is needed. It is a wish: the job goes on after it. The more time is left when
   * the job is sent, the longer and cheaper the completion window that is bought, where the upstream offers
   * any. A time that has passed means as soon as possible. A `completion_window` in `request` counts first.
   */
  needed_by?: string | undefined;
  /**
   * What to do when `needed_by` comes before the answer. `wait` (the default): wait on. `buy_again`: cancel a
   * response that was bought in a longer completion window and buy another at once, a second purchase. Needs
   * `needed_by`.
   */
  on_late?: 'wait' | 'buy_again' | undefined;
}

/** saysWhenLate refuses `on_late` in a request that is never late, because it has no `needed_by`. */
export function saysWhenLate(
  { needed_by: neededBy, on_late: onLate }: TimeOptions,
  context: z.RefinementCtx,
): void {
  if (onLate === undefined || neededBy !== undefined) return;
  const message = 'expected "needed_by" beside it, which says when the answer is late, got none';
  context.addIssue({ code: 'custom', message, path: ['on_late'] });
}
