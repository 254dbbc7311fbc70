import { RetryableError, TerminalError } from '../../../src/errors/failure.ts';
import type { RunProgress } from '../../../src/run/record.ts';
import { ADOPTABLE, ANSWERED, attemptOf, DATA, RUNNING } from '../../support/worker/scripted-attempt.ts';

describe('runAttempt', () => {
  it('buys a response, stores its id, follows it and writes the end down', async () => {
    const { run, done, purchases, ends } = attemptOf();
    expect(await run()).toMatchObject({
      kind: 'completed',
      summary: { answer_preview: 'Yes.', upstream_model: 'o3-2025-04-16', usage: null },
    });
    expect(done).toEqual(['mark', 'create', 'store resp_1', 'look', 'finish completed']);
    expect(purchases).toEqual(['bought']);
    expect(ends).toMatchObject([{ response: ANSWERED }]);
  });

  it('marks the create of a first start when it begins', async () => {
    const { run, done, purchases } = attemptOf({}, { isFirstStart: true });
    expect(await run()).toMatchObject({ kind: 'completed' });
    expect(done).toEqual(['begin with mark', 'create', 'store resp_1', 'look', 'finish completed']);
    expect(purchases).toEqual(['bought']);
  });

  it('marks the create of a first start later when the record does not allow it at once', async () => {
    const { run, done } = attemptOf({}, { isFirstStart: true, maySendAtOnce: false });
    expect(await run()).toMatchObject({ kind: 'completed' });
    expect(done.slice(0, 2)).toEqual(['mark', 'create']);
  });

  it('removes the mark of a first start whose reservation has ended, and buys nothing', async () => {
    const { run, done, purchases } = attemptOf({}, { isFirstStart: true, isExpired: true });
    expect(await run()).toEqual({ kind: 'postponed' });
    expect(done).toEqual(['begin with mark', 'withheld', 'save withdrawn', 'save ']);
    expect(purchases).toEqual([]);
  });

  it('marks nothing for a first start whose data is invalid or whose deadline has passed', async () => {
    const invalid = attemptOf({}, { isFirstStart: true });
    expect(await invalid.run({ prompt: 'x' })).toMatchObject({ kind: 'failed', code: 'invalid_request' });
    expect(invalid.done).toEqual(['finish failed']);
    const late = attemptOf({}, { isFirstStart: true });
    const data = { ...DATA, deadline: new Date(Date.now() - 1000).toISOString() };
    expect(await late.run(data)).toMatchObject({ kind: 'failed', code: 'deadline_passed' });
    expect(late.done).toEqual(['finish failed']);
  });

  it('adopts a response of an earlier attempt, also one that was seen to have ended', async () => {
    const { run, done, purchases } = attemptOf({ ...ADOPTABLE, upstreamStatus: 'completed' });
    expect(await run()).toMatchObject({ kind: 'completed', summary: { answer_preview: 'Yes.' } });
    expect([done, purchases]).toEqual([['look', 'finish completed'], ['adopted']]);
  });

  it('buys again when a foreground response went down with its worker', async () => {
    const { run, purchases } = attemptOf({ upstreamId: 'resp_0', background: false });
    expect(await run()).toMatchObject({ kind: 'completed' });
    expect(purchases).toEqual(['bought']);
  });

  it('repeats an end that was written down before', async () => {
    const error = { code: 'invalid_request', message: 'no', retryable: false };
    const failed = attemptOf({ status: 'failed', error });
    expect(await failed.run()).toEqual({ kind: 'failed', code: 'invalid_request', message: 'no' });
    expect(failed.done).toEqual([]);
    const cancelled = attemptOf({ status: 'cancelled', ...ADOPTABLE });
    expect(await cancelled.run()).toEqual({ kind: 'cancelled' });
    expect(cancelled.done).toEqual(['cancel', 'finish cancelled']);
  });

  it('refuses data that is not a job', async () => {
    const { run, done } = attemptOf();
    expect(await run({ prompt: 'x' })).toMatchObject({ kind: 'failed', code: 'invalid_request' });
    expect(done).toEqual(['finish failed']);
  });

  it('throws an unexpected error on, so that BullMQ tries again, and cancels a response whose id was not stored', async () => {
    const oom = new Error('OOM command not allowed');
    const { run, done } = attemptOf({}, { store: () => Promise.reject(oom) });
    await expect(run()).rejects.toBe(oom);
    expect(done).toEqual(['mark', 'create', 'store resp_1', 'cancel']);
  });
});

describe('a failure', () => {
  const down = new RetryableError('upstream_error', 'down', { retryAfterMs: 5 });

  it('leads to a retry when a later attempt may succeed, until no attempt is left', async () => {
    const second = attemptOf({ attempt: 2 }, { create: down });
    expect(await second.run()).toMatchObject({ kind: 'retry', failure: down, attempt: 2 });
    expect(second.done).toEqual(['mark', 'create', 'save withdrawn', 'save upstream_error']);
    const last = attemptOf({ attempt: 3 }, { create: down });
    expect(await last.run()).toMatchObject({ kind: 'failed', code: 'upstream_error' });
  });

  it('leads to no retry when the job was cancelled meanwhile', async () => {
    const { run, done } = attemptOf({}, { create: down, save: () => ({ cancelRequested: true }) });
    await run();
    expect(done).toEqual(['mark', 'create', 'save withdrawn', 'save upstream_error', 'finish failed']);
  });

  it('cancels a response that can no longer be followed', async () => {
    const { run, done } = attemptOf({}, { lookup: new TerminalError('not_found', '404') });
    expect(await run()).toMatchObject({ kind: 'retry', failure: { code: 'response_lost' } });
    expect(done.slice(0, 4)).toEqual(['mark', 'create', 'store resp_1', 'look']);
    expect(done.slice(-2)).toEqual(['save response_lost', 'cancel']);
  });

  it('does not cancel a response that has ended', async () => {
    const lookup = { id: 'resp_1', status: 'failed', error: { code: 'server_error', message: 'x' } };
    const { run, done } = attemptOf({}, { lookup });
    expect(await run()).toMatchObject({ kind: 'retry', failure: { code: 'response_failed' } });
    expect(done).toEqual(['mark', 'create', 'store resp_1', 'look', 'save response_failed']);
  });

  it('keeps a silent response for the next attempt to adopt, and cancels it after the last attempt', async () => {
    const lookup = new RetryableError('connection_lost', 'no route');
    const first = attemptOf(ADOPTABLE, { lookup }, { stallMs: 1 });
    expect(await first.run()).toMatchObject({ kind: 'retry', failure: { code: 'upstream_silent' } });
    expect(first.done).not.toContain('cancel');
    const last = attemptOf({ ...ADOPTABLE, attempt: 3 }, { lookup }, { stallMs: 1 });
    expect(await last.run()).toMatchObject({ kind: 'failed', code: 'upstream_silent' });
    expect(last.done.slice(-2)).toEqual(['finish failed', 'cancel']);
  });

  it('books what the failed response used, with the end of the job or before the next attempt', async () => {
    const usage = { input_tokens: 1000, output_tokens: 500 };
    const nano = 1000 * 2000 + 500 * 8000;
    const spent = { responseId: 'resp_1', cost: { nano, listNano: nano, isEstimated: false }, usage };
    const broken = (code: string) => ({
      ...ANSWERED,
      status: 'failed',
      error: { code, message: 'no' },
      usage,
    });
    const refused = attemptOf({}, { lookup: broken('invalid_prompt') });
    expect(await refused.run()).toMatchObject({ kind: 'failed', code: 'response_refused' });
    expect(refused.ends).toMatchObject([{ status: 'failed', spent }]);
    const retried = attemptOf({}, { lookup: broken('server_error') });
    expect(await retried.run()).toMatchObject({ kind: 'retry' });
    expect(retried.booked).toMatchObject([spent]);
  });

  it('sends the job back into the fair queue, uncharged, when nothing may be sent to the upstream', async () => {
    const create = new RetryableError('rate_limited', 'slow down', { retryAfterMs: 60_000 });
    const saved: RunProgress[] = [];
    const save = (progress: RunProgress) => {
      saved.push(progress);
      return { cancelRequested: false };
    };
    const { run, done } = attemptOf({ reservedModel: 'o3' }, { create, allWait: true, save });
    expect(await run()).toEqual({ kind: 'postponed' });
    expect(saved).toContainEqual({ reservedModel: undefined });
    expect(done).not.toContain('finish failed');
  });
});

describe('a cancel', () => {
  it('ends an attempt that has bought nothing', async () => {
    const { run, done } = attemptOf({ cancelRequested: true });
    expect(await run()).toEqual({ kind: 'cancelled' });
    expect(done).toEqual(['finish cancelled']);
  });

  it('prevents the create when the mark of the create finds it', async () => {
    const { run, done, purchases } = attemptOf(
      {},
      { markPurchase: async () => ({ kind: 'cancel-requested' }) },
    );
    expect(await run()).toEqual({ kind: 'cancelled' });
    expect([done, purchases]).toEqual([['mark', 'finish cancelled'], []]);
  });

  it('that comes while the response is bought is sent to the upstream once', async () => {
    const { run, done } = attemptOf({}, { store: async () => 'cancel-requested' });
    expect(await run()).toEqual({ kind: 'cancelled' });
    expect(done).toEqual(['mark', 'create', 'store resp_1', 'cancel', 'finish cancelled']);
  });

  it('that comes while the response runs is sent to the upstream at once and once, and its usage is booked', async () => {
    const cancelled = { ...RUNNING, status: 'cancelled', usage: { input_tokens: 7, output_tokens: 0 } };
    const world = attemptOf(ADOPTABLE, { lookup: RUNNING, cancel: async () => cancelled });
    const running = world.run();
    await new Promise(setImmediate);
    world.active.interrupt('cancelled');
    expect(world.done.at(-1)).toBe('cancel');
    expect(await running).toEqual({ kind: 'cancelled' });
    expect(world.done.filter((step) => step === 'cancel')).toHaveLength(1);
    expect(world.ends).toMatchObject([{ status: 'cancelled', spent: { usage: { input_tokens: 7 } } }]);
  });
});

describe('a limit in time', () => {
  it('counts the time before a takeover', async () => {
    // Without that time, the attempt would outlast the time limit of this test.
    const known = { ...ADOPTABLE, responseCreatedAt: Date.now() - 3_599_900 };
    const { run, done } = attemptOf(known, { lookup: RUNNING }, { timeoutMs: 3_600_000 });
    expect(await run()).toMatchObject({ kind: 'failed', code: 'timeout' });
    expect(done.slice(-2)).toEqual(['cancel', 'finish failed']);
  });

  it('ends an attempt at the deadline of its job, and begins none after it', async () => {
    const data = { ...DATA, deadline: new Date(Date.now() + 100).toISOString() };
    const running = attemptOf({}, { lookup: RUNNING });
    expect(await running.run(data)).toMatchObject({ code: 'deadline_passed' });
    expect(running.done.slice(-2)).toEqual(['cancel', 'finish failed']);
    const late = attemptOf();
    const over = { ...data, deadline: new Date(Date.now() - 1).toISOString() };
    expect(await late.run(over)).toMatchObject({ code: 'deadline_passed' });
    expect(late.done).toEqual(['finish failed']);
    const create = new RetryableError('rate_limited', 'slow down', { retryAfterMs: 60_000 });
    const soon = { ...data, deadline: new Date(Date.now() + 30_000).toISOString() };
    expect(await attemptOf({}, { create }).run(soon)).toMatchObject({ kind: 'failed', code: 'rate_limited' });
  });
});

describe('a worker that stops', () => {
  it('gives the job back before it buys', async () => {
    const { run, active, done } = attemptOf();
    active.requestStop();
    expect(await run()).toEqual({ kind: 'released' });
    expect(done).toEqual([]);
  });

  it('gives the job back as soon as another worker can adopt the response', async () => {
    const store = async () => {
      world.active.requestStop();
      return 'ok' as const;
    };
    const world = attemptOf({}, { lookup: RUNNING, store });
    expect(await world.run()).toEqual({ kind: 'released' });
    expect(world.done).toEqual(['mark', 'create', 'store resp_1']);
  });

  it('does not wait for the id of an earlier create', async () => {
    const purchaseMark = { fencingToken: 'purchase-0', at: Date.now(), sender: 'unknown' as const };
    const { run, active, done, purchases } = attemptOf({ purchaseMark });
    const running = run();
    active.requestStop();
    expect(await running).toEqual({ kind: 'released' });
    expect([done, purchases]).toEqual([[], []]);
  });
});
