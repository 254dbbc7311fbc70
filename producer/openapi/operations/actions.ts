import { z } from 'zod';
import { type ActionKind, actionList, actionView, selectionView } from '../../../src/job/action.ts';
import { jobFilter } from '../../../src/job-store/filter.ts';
import { noQuery } from '../../routes/job-queries.ts';
import { actionExample, selectionExample } from '../examples.ts';
import type { Answer, Operation } from '../operation.ts';

/** selectionBody is the body of a call that acts on all jobs of a filter. */
export const selectionBody = z.strictObject({
  filter: jobFilter,
  dry_run: z
    .boolean()
    .optional()
    .describe('Count the jobs and what they have cost, and do nothing. Default false.'),
});

const action = (description: string): Answer => ({
  description,
  content: { schema: actionView, examples: { action: actionExample } },
});

const WHAT: Record<ActionKind, { id: string; summary: string; description: string }> = {
  cancel: {
    id: 'cancelJobs',
    summary: 'Cancel all jobs of a filter',
    description: 'Selects jobs that have not ended.',
  },
  retry: {
    id: 'retryJobs',
    summary: 'Retry all jobs of a filter',
    description:
      'Selects failed jobs, or those in the `status` of the filter: `failed` or `cancelled`. Each is bought again.',
  },
  delete: {
    id: 'deleteJobs',
    summary: 'Delete all jobs of a filter',
    description: 'Selects jobs that have ended.',
  },
};

/** selectJobs documents the call that acts in this way on all jobs of a filter. */
export function selectJobs(kind: ActionKind): Operation {
  const { id, summary, description } = WHAT[kind];
  return {
    id,
    tag: 'jobs',
    summary,
    description:
      `${description} Starts an action that is watched at \`/actions/ID\`. It goes on when this producer dies, and ` +
      'touches each job once, 500 a second at most. Jobs that are created later do not belong to it.',
    query: noQuery,
    body: {
      schema: selectionBody,
      examples: { failed: { filter: { error: 'timeout', since: '2026-11-29T00:00:00Z' }, dry_run: true } },
    },
    answers: {
      200: {
        description: 'With `dry_run`: how many jobs the filter selects',
        content: { schema: selectionView, examples: { selection: selectionExample } },
      },
      202: {
        ...action('The action has started'),
        headers: z.object({ location: z.string().describe('The path of the action.') }),
      },
    },
    problems: ['forbidden', 'too_many_actions', 'redis_unavailable'],
  };
}

export const listActions: Operation = {
  id: 'listActions',
  tag: 'jobs',
  summary: 'List the newest actions',
  query: noQuery,
  answers: { 200: { description: 'The actions', content: { schema: actionList } } },
  problems: ['redis_unavailable'],
};

export const getAction: Operation = {
  id: 'getAction',
  tag: 'jobs',
  summary: 'Read how far an action has come',
  query: noQuery,
  answers: { 200: action('The action') },
  problems: ['action_not_found', 'redis_unavailable'],
};

export const stopAction: Operation = {
  id: 'stopAction',
  tag: 'jobs',
  summary: 'Stop an action',
  description: 'The action stops within a second. What it has done stays done.',
  query: noQuery,
  answers: { 200: action('The action, which stops or has ended') },
  problems: ['action_not_found', 'redis_unavailable'],
};
