import { jobPage, jobResult, jobView } from '../../../src/job/view.ts';
import {
  active,
  cancelled,
  completed,
  delayed,
  failed,
  result,
  waiting,
} from '../../support/http/job-views.ts';

it.each([waiting, delayed, active, completed, failed, cancelled])('a $status job is a view', (job) => {
  expect(jobView.parse(job)).toEqual(job);
});

it.each([
  ['an unknown status', { ...waiting, status: 'lost' }],
  ['a field that belongs to another status', { ...waiting, error: failed.error }],
  ['a time without its zone', { ...waiting, created_at: '2026-03-01 12:00' }],
  ['a position before the first', { ...waiting, position: 0 }],
])('a job with %s is not a view', (_what, job) => {
  expect(jobView.safeParse(job).success).toBe(false);
});

it('a page holds views, and a result the response of the upstream', () => {
  const page = { jobs: [waiting, completed], next_cursor: null };
  expect(jobPage.parse(page)).toEqual(page);
  expect(jobResult.parse(result)).toEqual(result);
});
