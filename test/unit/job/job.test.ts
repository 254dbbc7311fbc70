import { preview } from '../../../src/errors/preview.ts';
import {
  FINISHED_STATUSES,
  isFinished,
  isFinishedJob,
  JOB_STATUSES,
  STATUS_TABLE,
} from '../../../src/job/job.ts';
import { active, cancelled, completed, delayed, failed, waiting } from '../../support/http/job-views.ts';

describe('statuses', () => {
  it('have exactly one row each in the table', () => {
    expect(Object.keys(STATUS_TABLE)).toEqual([...JOB_STATUSES]);
  });

  it('are finished when nothing but a retry by hand changes them', () => {
    expect(JOB_STATUSES.filter(isFinished)).toEqual([...FINISHED_STATUSES]);
    expect([waiting, delayed, active].filter(isFinishedJob)).toEqual([]);
    expect([completed, failed, cancelled].filter(isFinishedJob)).toHaveLength(3);
  });

  it('cover every state of BullMQ, and failed twice', () => {
    const states = Object.values(STATUS_TABLE).flatMap(({ bullmq }) => bullmq);
    expect(states.filter((state, i) => states.indexOf(state) !== i)).toEqual(['failed']);
    expect(new Set(states)).toEqual(
      new Set(['waiting', 'prioritized', 'waiting-children', 'delayed', 'active', 'completed', 'failed']),
    );
  });
});

describe('preview', () => {
  it.each([
    ['', 3, ''],
    ['abc', 3, 'abc'],
    ['abcd', 3, 'abc...'],
    ['🦄🦄🦄', 3, '🦄🦄🦄'],
    ['🦄🦄🦄🦄', 3, '🦄🦄🦄...'],
    ['a🦄b🦄c', 2, 'a🦄...'],
    ['é'.repeat(4), 3, 'ééé...'],
  ])('of %j in %i characters is %j', (text, length, expected) => {
    expect(preview(text, length)).toBe(expected);
  });

  it('of ten million characters costs no more than one of a hundred', () => {
    const book = '🦄'.repeat(5_000_000);
    const slices = jest.spyOn(String.prototype, 'slice');
    preview(book, 100);
    const read = slices.mock.results.map(({ value }) => String(value).length);
    slices.mockRestore();
    expect(read).toEqual([202]);
  });
});
