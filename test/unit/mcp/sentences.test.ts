import type { JobView } from '../../../src/job/view.ts';
import { statusSentence } from '../../../src/mcp/sentences.ts';

const NOW = Date.parse('2026-11-29T12:00:00Z');
const job = { id: 'job_1', needed_by: null, completion_window: null, simulated: false, cost_usd: null };
const sentence = (more: object): string => statusSentence({ ...job, ...more } as JobView, NOW);

it('the sentence about a job ends once, with the words of an upstream that end themselves too', () => {
  const failed = { status: 'failed', started_at: null };
  expect(sentence({ ...failed, error: { code: 'invalid_prompt', message: 'It was refused.' } })).toBe(
    'job_1 failed: invalid_prompt: It was refused.',
  );
  expect(sentence({ ...failed, error: { code: 'timeout', message: 'no answer came' } })).toBe(
    'job_1 failed: timeout: no answer came.',
  );
});

it('the sentence about a job says when its answer is needed, its window, and how late it is', () => {
  const waiting = { status: 'waiting', waiting_for: 'its turn', position: null, eta_ms: null };
  const neededBy = (time: string) => sentence({ ...waiting, completion_window: '2h', needed_by: time });
  expect(neededBy('2026-11-29T15:00:00.000Z')).toBe(
    'job_1 is waiting for its turn; needed by 2026-11-29T15:00:00.000Z, bought for less within 2h.',
  );
  expect(neededBy('2026-11-29T11:48:00.000Z')).toContain('bought for less within 2h, 12m 00s late.');
});
