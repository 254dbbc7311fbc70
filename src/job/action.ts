import { z } from 'zod';

/** ACTION_KINDS are what an action may do with each job of its selection. */
export const ACTION_KINDS = ['cancel', 'retry', 'delete'] as const;
export type ActionKind = (typeof ACTION_KINDS)[number];

const time = z.iso.datetime();
const count = z.int().min(0);

const counted = {
  matching: count.describe('How many jobs matched when they were counted.'),
  more: z
    .boolean()
    .describe(
      'Whether the count stopped before the end, at 10,000 jobs or after half a second: there are more.',
    ),
  cost_usd: z.number().min(0).describe('US dollars that the counted jobs have cost so far.'),
};

export const selectionView = z
  .strictObject(counted)
  .meta({ id: 'Selection', description: 'How many jobs a filter selects, and what they have cost.' });

const byReason = z.record(z.string(), count);

export const actionView = z
  .strictObject({
    id: z.string().describe('The id of the action.'),
    kind: z.enum(ACTION_KINDS).describe('What it does with each job.'),
    status: z
      .enum(['running', 'stopping', 'stopped', 'done'])
      .describe(
        '`stopping`: it was told to stop, and stops within a second. `stopped` and `done` are final.',
      ),
    filter: z.record(z.string(), z.unknown()).describe('The filter of its selection.'),
    started_by: z.string().nullable().describe('The tenant that started it; null: the instance has no keys.'),
    created_at: time.describe('Jobs that were created later do not belong to the selection.'),
    finished_at: time.nullable().describe('When it was done or stopped; null: it still runs.'),
    ...counted,
    done: count.describe('How many jobs it has cancelled, retried or deleted.'),
    skipped: byReason.describe('How many jobs it has left as they are, by the reason.'),
    failed: byReason.describe('How many jobs it could not act on, by the code of the refusal.'),
  })
  .meta({
    id: 'Action',
    description:
      'Cancels, retries or deletes each job of a selection, once. It goes on when its producer dies.',
  });

export const actionList = z
  .strictObject({ actions: z.array(actionView) })
  .meta({ id: 'ActionList', description: 'The newest actions first, at most 100.' });

/** Selection is how many jobs a filter selects for an action. */
export type Selection = z.infer<typeof selectionView>;
/** Action is a long action over a selection of jobs, as callers see it. */
export type Action = z.infer<typeof actionView>;
