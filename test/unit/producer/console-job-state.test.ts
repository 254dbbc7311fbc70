import { afterEvent, type JobState, stateOf } from '../../../producer/console/job-state.ts';
import { titleOf } from '../../../producer/console/live-job.tsx';
import type { JobEvent } from '../../../src/job/event.ts';
import { active, completed } from '../../support/http/job-views.ts';

const after = (...events: JobEvent[]): JobState => events.reduce(afterEvent, stateOf(active));
const delta = (text: string, attempt = 1): JobEvent => ({
  type: 'delta',
  number: 1,
  data: { text, attempt },
});

test('the deltas of an attempt add up to its answer, and so does its reasoning', () => {
  const reasoning: JobEvent = { type: 'reasoning', number: 1, data: { text: 'First', attempt: 1 } };
  expect(after(reasoning, delta('It is '), delta('blue.'))).toMatchObject({
    answer: 'It is blue.',
    reasoning: 'First',
  });
});

test('a new attempt begins without the text of the attempt before it, and says what ended that', () => {
  const again: JobEvent = { type: 'attempt', number: 2, data: { attempt: 2, reason: 'upstream_error: 500' } };
  expect(after(delta('It is '), again, delta('Blue.', 2))).toMatchObject({
    answer: 'Blue.',
    retries: [{ attempt: 2, reason: 'upstream_error: 500' }],
  });
});

test('the title of the page begins with the status of the job', () => {
  expect(titleOf(after({ type: 'done', number: 3, data: completed }).job)).toBe(
    `✓ completed · ${completed.question}`,
  );
});
