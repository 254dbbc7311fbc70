import { silenceText } from '../../../cli/live/silence.ts';
import { active, delayed, failed, waiting } from '../../support/http/job-views.ts';

it.each([
  [waiting, 42_400, '0:42 job-1 waits: its turn: 4 jobs before it; done in 1m 30s perhaps'],
  [{ ...waiting, eta_ms: null }, 725_000, '12:05 job-1 waits: its turn: 4 jobs before it'],
  [delayed, 3_723_000, '1:02:03 job-1 waits: its next attempt, until 2025-11-23T03:10:00.000Z'],
  [active, 0, '0:00 job-1 thinks: attempt 1 of 5'],
  [{ ...active, cancelling: true }, 59_999, '0:59 job-1 is being cancelled'],
  [failed, 60_000, '1:00 job-1 is failed'],
])('a job that says nothing is a line with clock, id and reason', (job, elapsedMs, line) => {
  expect(silenceText(job, elapsedMs)).toBe(line);
});

it('has no control characters of the job', () => {
  expect(silenceText({ ...waiting, waiting_for: 'a\u001b[2J\nb', eta_ms: null }, 0)).toBe(
    '0:00 job-1 waits: a[2J b',
  );
});
