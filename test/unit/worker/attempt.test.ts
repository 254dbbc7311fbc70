import { createPace } from '../../../src/async/pace.ts';
import { defaultModels, type ModelConfig } from '../../../src/config/file.ts';
import { RetryableError, TerminalError } from '../../../src/errors/failure.ts';
import type { UpstreamResponse } from '../../../src/responses/response.ts';
import {
  type RunEnd,
  type RunProgress,
  type RunRecord,
  runRecordFrom,
  type Spent,
} from '../../../src/run/record.ts';
import { LockLostError, type RunRecordWriter } from '../../../src/run/writer.ts';
import { createPriceList } from '../../../src/usage/price.ts';
import { createActiveAttempt } from '../../../worker/attempt/active-attempt.ts';
import { type Attempt, runAttempt } from '../../../worker/attempt/attempt.ts';
import type { Upstream } from '../../../worker/upstream/client.ts';
import { createCreateSlots } from '../../../worker/upstream/create-slots.ts';
import { PurchaseUncertainError } from '../../../worker/upstream/purchase-uncertain-error.ts';
import type { RunningResponse } from '../../../worker/upstream/running-response.ts';

const answered: UpstreamResponse = {
  id: 'resp_1',
  status: 'completed',
  model: 'o3-2025-04-16',
  output: [{ type: 'message', content: [{ type: 'output_text', text: 'Yes.' }] }],
};

/** What an attempt has done to the world, in its order. */
function world(
  known: Partial<RunRecord> = {},
  script: { create?: Error; lookup?: UpstreamResponse | Error; everybodyWaits?: boolean } = {},
  policy: Partial<ModelConfig> = {},
) {
  const done: string[] = [];
  const spent: string[] = [];
  const booked: Spent[] = [];
  const brought: Partial<RunRecord> = {};
  let submits: RunRecordWriter['submit'] = async () => ({
    kind: 'ok',
    replaced: known.submitting !== undefined,
  });
  let stores: RunRecordWriter['storePurchase'] = async () => 'ok';
  let saves: (progress: RunProgress) => Promise<{ cancelRequested: boolean }> = async () => ({
    cancelRequested: false,
  });
  let ended: RunEnd | undefined;
  const record: RunRecordWriter = {
    begin: async () => ({
      state: known.status === undefined ? 'open' : 'finished',
      record: { ...runRecordFrom([]), attempt: 1, ...known },
    }),
    read: async () => ({ ...runRecordFrom([]), ...known, ...brought }),
    submit: async (token) => {
      done.push('submit');
      return submits(token);
    },
    storePurchase: async (token, bought) => {
      done.push(`store ${bought.upstreamId}`);
      return stores(token, bought);
    },
    save: async (progress, spentOnIt) => {
      if (spentOnIt) booked.push(spentOnIt);
      const withdrawn = 'submitting' in progress ? 'withdrawn' : undefined;
      done.push(`save ${progress.error?.code ?? withdrawn ?? progress.upstreamStatus ?? ''}`);
      return saves(progress);
    },
    append: async () => ({ cancelRequested: false }),
    finish: async (end) => {
      done.push(`finish ${end.status}`);
      ended ??= end;
      return ended.status;
    },
  };
  const upstream: Upstream = {
    create: async (): Promise<RunningResponse> => {
      done.push('create');
      if (script.create !== undefined) throw script.create;
      return { response: { id: 'resp_1', status: 'queued' }, background: true, streamed: false };
    },
    retrieve: async () => {
      done.push('look');
      if (script.lookup instanceof Error) throw script.lookup;
      return script.lookup ?? answered;
    },
    resume: async () => {
      throw new Error('expected no stream');
    },
    cancel: async () => {
      done.push('cancel');
      return null;
    },
    listModels: async () => undefined,
    graceMs: 300,
    slots: createCreateSlots(1),
    pace: createPace(200),
    close: async () => {},
  };
  const model = { ...defaultModels().models['o3'], ...policy } as ModelConfig;
  const attempt: Attempt = {
    data: { question: 'Is it?', stream: false },
    attemptsMade: 0,
    maxAttempts: 3,
    alias: 'o3',
    model,
    prices: createPriceList({}),
    record,
    upstream,
    webhooks: undefined,
    active: createActiveAttempt(),
    journalPace: createPace(2000),
    grant: {
      begin: async () => {},
      forget: async () => {},
      check: () => {},
      sent: async () => {},
      accepted: () => {},
      refused: async () => script.everybodyWaits ?? false,
      report: async () => {},
    },
    onPurchase: (what) => void spent.push(what),
  };
  return {
    attempt,
    done,
    spent,
    booked,
    brought,
    onSubmit: (submit: typeof submits) => {
      submits = submit;
    },
    onStore: (store: typeof stores) => {
      stores = store;
    },
    onSave: (save: typeof saves) => {
      saves = save;
    },
    ended: () => ended,
  };
}

describe('what a response has used', () => {
  const usage = { input_tokens: 1000, output_tokens: 500 };
  const costNano = 1000 * 2000 + 500 * 8000;
  const broken = (code: string): UpstreamResponse => ({
    ...answered,
    status: 'failed',
    error: { code, message: 'no' },
    usage,
  });

  it('is written down with the failure that it ended in', async () => {
    const { attempt, ended } = world({}, { lookup: broken('invalid_prompt') });
    expect(await runAttempt(attempt)).toMatchObject({ kind: 'failed', code: 'response_refused' });
    expect(ended()).toMatchObject({ status: 'failed', spent: { responseId: 'resp_1', costNano, usage } });
  });

  it('is written down before another attempt buys the next one', async () => {
    const { attempt, booked } = world({}, { lookup: broken('server_error') });
    expect(await runAttempt(attempt)).toMatchObject({ kind: 'retry' });
    expect(booked).toMatchObject([{ responseId: 'resp_1', costNano, usage }]);
  });
});

describe('an attempt', () => {
  it('buys, writes the id down, follows, and writes the end down', async () => {
    const { attempt, done, spent, ended } = world();
    expect(await runAttempt(attempt)).toMatchObject({
      kind: 'completed',
      summary: { answer_preview: 'Yes.', upstream_model: 'o3-2025-04-16', usage: null },
    });
    expect(done).toEqual(['submit', 'create', 'store resp_1', 'look', 'finish completed']);
    expect(spent).toEqual(['bought']);
    expect(ended()).toMatchObject({ response: answered });
  });

  it('adopts what was bought before it, even if that was seen to be finished', async () => {
    const known = { upstreamId: 'resp_1', background: true, upstreamStatus: 'completed' };
    const { attempt, done, spent } = world(known);
    expect(await runAttempt(attempt)).toMatchObject({
      kind: 'completed',
      summary: { answer_preview: 'Yes.' },
    });
    expect(done).toEqual(['look', 'finish completed']);
    expect(spent).toEqual(['adopted']);
  });

  it('buys again what went down with its connection', async () => {
    const { attempt, spent } = world({ upstreamId: 'resp_0', background: false });
    expect(await runAttempt(attempt)).toMatchObject({ kind: 'completed' });
    expect(spent).toEqual(['bought']);
  });

  it('only repeats an end that was written down before', async () => {
    const error = { code: 'invalid_request', message: 'no', retryable: false };
    const failed = world({ status: 'failed', error });
    expect(await runAttempt(failed.attempt)).toEqual({
      kind: 'failed',
      code: 'invalid_request',
      message: 'no',
    });
    expect(failed.done).toEqual([]);
    const cancelled = world({ status: 'cancelled', upstreamId: 'resp_1', background: true });
    expect(await runAttempt(cancelled.attempt)).toEqual({ kind: 'cancelled' });
    expect(cancelled.done).toEqual(['cancel', 'finish cancelled']);
  });

  it('buys nothing when it was cancelled before', async () => {
    const { attempt, done } = world({ cancelRequested: true });
    expect(await runAttempt(attempt)).toEqual({ kind: 'cancelled' });
    expect(done).toEqual(['finish cancelled']);
  });

  it('refuses data that no producer of ours has written', async () => {
    const { attempt, done } = world();
    expect(await runAttempt({ ...attempt, data: { prompt: 'x' } })).toMatchObject({
      kind: 'failed',
      code: 'invalid_request',
    });
    expect(done).toEqual(['finish failed']);
  });

  it('is to be retried after a failure that a later attempt may cure, until none is left', async () => {
    const create = new RetryableError('upstream_error', 'down', { retryAfterMs: 5 });
    const first = world({ attempt: 2 }, { create });
    expect(await runAttempt(first.attempt)).toEqual({
      kind: 'retry',
      failure: create,
      attempt: 2,
      delayMs: 5,
    });
    expect(first.done).toEqual(['submit', 'create', 'save withdrawn', 'save upstream_error']);
    const last = world({ attempt: 3 }, { create });
    expect(await runAttempt(last.attempt)).toMatchObject({ kind: 'failed', code: 'upstream_error' });
  });

  it('is not retried when it was cancelled while it failed', async () => {
    const { attempt, onSave, done } = world({}, { create: new RetryableError('upstream_error', 'down') });
    onSave(async () => ({ cancelRequested: true }));
    await runAttempt(attempt);
    expect(done).toEqual(['submit', 'create', 'save withdrawn', 'save upstream_error', 'finish failed']);
  });

  it('stops what it can no longer follow', async () => {
    const { attempt, done } = world({}, { lookup: new TerminalError('authentication', '401') });
    expect(await runAttempt(attempt)).toMatchObject({ kind: 'failed', code: 'authentication' });
    expect(done).toEqual(['submit', 'create', 'store resp_1', 'look', 'finish failed', 'cancel']);
  });

  it('does not stop a response that has ended', async () => {
    const lookup = { id: 'resp_1', status: 'failed', error: { code: 'server_error', message: 'x' } };
    const { attempt, done } = world({}, { lookup });
    expect(await runAttempt(attempt)).toMatchObject({ kind: 'retry', failure: { code: 'response_failed' } });
    expect(done).toEqual(['submit', 'create', 'store resp_1', 'look', 'save response_failed']);
  });

  it('leaves what it bought without the lock to the worker that has it: its id is home', async () => {
    const { attempt, onStore, done } = world();
    onStore(async () => {
      throw new LockLostError('job_1');
    });
    expect(await runAttempt(attempt)).toEqual({ kind: 'lost' });
    expect(done).toEqual(['submit', 'create', 'store resp_1']);
  });

  it('stops what it bought when another has been bought since: nobody waits for it', async () => {
    const { attempt, onStore, done } = world();
    onStore(async () => 'superseded');
    expect(await runAttempt(attempt)).toEqual({ kind: 'lost' });
    expect(done).toEqual(['submit', 'create', 'store resp_1', 'cancel']);
  });

  it('stops what it bought when somebody has cancelled meanwhile', async () => {
    const { attempt, onStore, done } = world();
    onStore(async () => 'unwanted');
    await runAttempt(attempt);
    expect(done).toEqual(['submit', 'create', 'store resp_1', 'cancel', 'finish cancelled']);
  });

  it('buys nothing when it is cancelled in the last moment', async () => {
    const { attempt, onSubmit, done, spent } = world();
    onSubmit(async () => ({ kind: 'unwanted' }));
    expect(await runAttempt(attempt)).toEqual({ kind: 'cancelled' });
    expect([done, spent]).toEqual([['submit', 'finish cancelled'], []]);
  });

  it('adopts what an earlier create brings home in the last moment', async () => {
    const { attempt, onSubmit, done, spent } = world();
    const record = { ...runRecordFrom([]), upstreamId: 'resp_0', background: true };
    onSubmit(async () => ({ kind: 'bought', record }));
    expect(await runAttempt(attempt)).toMatchObject({ kind: 'completed' });
    expect([done, spent]).toEqual([['submit', 'look', 'finish completed'], ['adopted']]);
  });

  it('leaves what it has adopted alone when the lock is lost', async () => {
    const { attempt, done } = world(
      { upstreamId: 'resp_1', background: true },
      { lookup: { id: 'resp_1', status: 'queued' } },
    );
    const running = runAttempt(attempt);
    attempt.active.interrupt('lock lost');
    expect(await running).toEqual({ kind: 'lost' });
    expect(done).not.toContain('cancel');
  });

  it('ends with its timeout, the time before a takeover included', async () => {
    const { attempt, done } = world(
      { upstreamId: 'resp_1', background: true, createdAt: Date.now() - 900 },
      { lookup: { id: 'resp_1', status: 'in_progress' } },
      { timeoutMs: 1000 },
    );
    const begunAt = performance.now();
    expect(await runAttempt(attempt)).toMatchObject({ kind: 'failed', code: 'timeout' });
    expect(performance.now() - begunAt).toBeLessThan(800);
    expect(done.slice(-2)).toEqual(['cancel', 'finish failed']);
  });

  it('throws on what nobody expected, so that BullMQ tries again', async () => {
    const { attempt, onStore, done } = world();
    const oom = new Error('OOM command not allowed');
    onStore(async () => {
      throw oom;
    });
    await expect(runAttempt(attempt)).rejects.toBe(oom);
    // Its id could not be written down, so that it would be bought again.
    expect(done).toEqual(['submit', 'create', 'store resp_1', 'cancel']);
  });

  it('gives the job back when the worker leaves, before it buys or when another can go on', async () => {
    const before = world();
    before.attempt.active.leave();
    expect(await runAttempt(before.attempt)).toEqual({ kind: 'released' });
    expect(before.done).toEqual([]);
    const after = world({}, { lookup: { id: 'resp_1', status: 'in_progress' } });
    after.onStore(async () => {
      after.attempt.active.leave();
      return 'ok';
    });
    expect(await runAttempt(after.attempt)).toEqual({ kind: 'released' });
    expect(after.done).toEqual(['submit', 'create', 'store resp_1']);
  });

  describe('that finds the mark of an earlier create, and no id', () => {
    const submitting = { token: 'purchase-0', at: Date.now(), over: false };
    const gone = { ...submitting, over: true };

    it('buys again, and counts it', async () => {
      const { attempt, done, spent } = world({ submitting: gone });
      expect(await runAttempt(attempt)).toMatchObject({ kind: 'completed' });
      expect(done[0]).toBe('submit');
      expect(spent).toEqual(['uncertain', 'bought']);
    });

    it('fails where that is the policy, and buys nothing', async () => {
      const { attempt, done, spent } = world({ submitting }, {}, { onUncertain: 'fail' });
      expect(await runAttempt(attempt)).toMatchObject({ kind: 'failed', code: 'purchase_uncertain' });
      expect([done, spent]).toEqual([['finish failed'], ['uncertain']]);
    });

    it('adopts what its sender brings home after all', async () => {
      const { attempt, brought, done, spent } = world({ submitting });
      const running = runAttempt(attempt);
      Object.assign(brought, { upstreamId: 'resp_0', background: true });
      expect(await running).toMatchObject({ kind: 'completed' });
      expect([done, spent]).toEqual([['look', 'finish completed'], ['adopted']]);
    });

    it('does not wait for it in a worker that leaves', async () => {
      const { attempt, done, spent } = world({ submitting });
      const running = runAttempt(attempt);
      attempt.active.leave();
      expect(await running).toEqual({ kind: 'released' });
      expect([done, spent]).toEqual([[], []]);
    });
  });

  it('leaves the mark of a create that nobody knows the end of, for the next attempt to look into', async () => {
    const failure = new RetryableError('connection_lost', 'reset');
    const { attempt, done, spent } = world({}, { create: new PurchaseUncertainError(failure) });
    expect(await runAttempt(attempt)).toMatchObject({ kind: 'retry', failure });
    expect([done, spent]).toEqual([['submit', 'create', 'save connection_lost'], []]);
    const careful = world({}, { create: new PurchaseUncertainError(failure) }, { onUncertain: 'fail' });
    expect(await runAttempt(careful.attempt)).toMatchObject({ kind: 'failed', code: 'purchase_uncertain' });
    expect(careful.spent).toEqual(['uncertain']);
    const last = world({ attempt: 3 }, { create: new PurchaseUncertainError(failure) });
    expect(await runAttempt(last.attempt)).toMatchObject({ kind: 'failed', code: 'connection_lost' });
    expect(last.spent).toEqual(['uncertain']);
  });

  it('keeps a response that gives no sign of life for the next attempt to look up, and stops it after the last', async () => {
    const out = new RetryableError('connection_lost', 'no route');
    const known = { upstreamId: 'resp_1', background: true };
    const first = world(known, { lookup: out }, { stallMs: 1 });
    expect(await runAttempt(first.attempt)).toMatchObject({
      kind: 'retry',
      failure: { code: 'upstream_silent' },
    });
    expect(first.done).not.toContain('cancel');
    const last = world({ ...known, attempt: 3 }, { lookup: out }, { stallMs: 1 });
    expect(await runAttempt(last.attempt)).toMatchObject({ kind: 'failed', code: 'upstream_silent' });
    expect(last.done.slice(-2)).toEqual(['finish failed', 'cancel']);
  });

  it('ends with the deadline of its job, and begins nothing after it', async () => {
    const data = { question: 'Is it?', stream: false, deadline: new Date(Date.now() + 100).toISOString() };
    const running = world({}, { lookup: { id: 'resp_1', status: 'in_progress' } });
    expect(await runAttempt({ ...running.attempt, data })).toMatchObject({ code: 'deadline_passed' });
    expect(running.done.slice(-2)).toEqual(['cancel', 'finish failed']);
    const late = world();
    expect(await runAttempt({ ...late.attempt, data })).toMatchObject({ code: 'deadline_passed' });
    expect(late.done).toEqual(['finish failed']);
    const create = new RetryableError('rate_limited', 'slow down', { retryAfterMs: 60_000 });
    const throttled = world({}, { create });
    const soon = { ...data, deadline: new Date(Date.now() + 30_000).toISOString() };
    expect(await runAttempt({ ...throttled.attempt, data: soon })).toMatchObject({
      kind: 'failed',
      code: 'rate_limited',
    });
  });
});

it('a job that is refused while everybody has to wait goes back into the line: nothing is charged, and it has no grant any more', async () => {
  const create = new RetryableError('rate_limited', 'slow down', { retryAfterMs: 60_000 });
  const throttled = world({ grant: 'o3' }, { create, everybodyWaits: true });
  const saved: RunProgress[] = [];
  throttled.onSave(async (progress) => {
    saved.push(progress);
    return { cancelRequested: false };
  });
  expect(await runAttempt(throttled.attempt)).toEqual({ kind: 'postponed' });
  expect(saved).toContainEqual({ grant: undefined });
  expect(throttled.done).not.toContain('finish failed');
});
