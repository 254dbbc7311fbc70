import { bullmqError } from '../../../src/model-queue/bullmq-failure.ts';

it.each([
  ['child o3q:{o3}:7 failed', 'child_failed', 'child job o3:7 failed'],
  ['child o3q:{gpt-oss:20b}:order-7 failed', 'child_failed', 'child job order-7 failed'],
  ['child o3q:{o3}:a:1:b failed', 'child_failed', 'child job a:1:b failed'],
  ['child bull:mail:7 failed', 'child_failed', 'child job bull:mail:7 failed'],
  ['job stalled more than allowable limit', 'stalled', 'job stalled more than allowable limit'],
  ['child is not a function', 'internal_error', 'child is not a function'],
])("BullMQ's reason %j becomes %s", (failedReason, code, message) => {
  expect(bullmqError(failedReason)).toEqual({ code, message, retryable: code === 'stalled' });
});

it('the failure of a parent says why its child failed', () => {
  expect(bullmqError('child o3q:{o3}:7 failed', 'timeout: too slow')).toMatchObject({
    message: 'child job o3:7 failed: timeout: too slow',
  });
});
