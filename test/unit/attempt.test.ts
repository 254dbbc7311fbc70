import { RetryableError, TerminalError } from '../../src/failure.ts';
import {
  LockLostError,
  type RunEnd,
  type RunProgress,
  type RunRecord,
  type RunRecordWriter,
  runRecordFrom,
} from '../../src/queue/run-record.ts';
import type { UpstreamResponse } from '../../src/response.ts';
import { createActiveAttempt } from '../../worker/active-attempt.ts';
import { type Attempt, runAttempt } from '../../worker/attempt.ts';
import { createPollPace } from '../../worker/poll-pace.ts';
import type { RunningResponse } from '../../worker/running-response.ts';
import type { Upstream } from '../../worker/upstream.ts';

const answered: UpstreamResponse = {
  id: 'resp_1',
  status: 'completed',
  model: 'o3-2025-04-16',
  output: [{ type: 'message', content: [{ type: 'output_text', text: 'Yes.' }] }],
};

/** What an attempt has done to the world, in its order. */
function world(
  known: Partial<RunRecord> = {},
  script: { create?: Error; lookup?: UpstreamResponse | Error } = {},
) {
  const done: string[] = [];
  let saves: (progress: RunProgress) => Promise<{ cancelRequested: boolean }> = async () => ({
    cancelRequested: false,
  });
  let ended: RunEnd | undefined;
  const record: RunRecordWriter = {
    begin: async () => ({
      finished: known.status !== undefined,
      record: { ...runRecordFrom([]), attempt: 1, ...known },
    }),
    save: async (progress) => {
      done.push(`save ${progress.upstreamId ?? progress.error?.code ?? ''}`);
      return saves(progress);
    },
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
    pace: createPollPace(200),
    close: async () => {},
  };
  const attempt: Attempt = {
    data: { question: 'Is it?', stream: false },
    attemptsMade: 0,
    maxAttempts: 3,
    upstreamModel: 'o3',
    timeoutMs: 1000,
    record,
    upstream,
    active: createActiveAttempt(),
  };
  return {
    attempt,
    done,
    onSave: (save: typeof saves) => {
      saves = save;
    },
    ended: () => ended,
  };
}

describe('an attempt', () => {
  it('buys, writes the id down, follows, and writes the end down', async () => {
    const { attempt, done, ended } = world();
    expect(await runAttempt(attempt)).toMatchObject({
      kind: 'completed',
      summary: { answer_preview: 'Yes.', upstream_model: 'o3-2025-04-16', usage: null },
    });
    expect(done).toEqual(['create', 'save resp_1', 'look', 'finish completed']);
    expect(ended()).toMatchObject({ response: answered });
  });

  it('adopts what was bought before it, even if that was seen to be finished', async () => {
    const { attempt, done } = world({ upstreamId: 'resp_1', background: true, upstreamStatus: 'completed' });
    expect(await runAttempt(attempt)).toMatchObject({
      kind: 'completed',
      summary: { answer_preview: 'Yes.' },
    });
    expect(done).toEqual(['look', 'finish completed']);
  });

  it('buys again what went down with its connection', async () => {
    const { attempt, done } = world({ upstreamId: 'resp_0', background: false });
    expect(await runAttempt(attempt)).toMatchObject({ kind: 'completed' });
    expect(done[0]).toBe('create');
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
    expect(cancelled.done).toEqual(['cancel']);
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
    expect(await runAttempt(first.attempt)).toEqual({ kind: 'retry', failure: create, attempt: 2 });
    expect(first.done).toEqual(['create', 'save upstream_error']);
    const last = world({ attempt: 3 }, { create });
    expect(await runAttempt(last.attempt)).toMatchObject({ kind: 'failed', code: 'upstream_error' });
  });

  it('is not retried when it was cancelled while it failed', async () => {
    const { attempt, onSave, done } = world({}, { create: new RetryableError('upstream_error', 'down') });
    onSave(async () => ({ cancelRequested: true }));
    await runAttempt(attempt);
    expect(done).toEqual(['create', 'save upstream_error', 'finish failed']);
  });

  it('stops what it can no longer follow', async () => {
    const { attempt, done } = world({}, { lookup: new TerminalError('authentication', '401') });
    expect(await runAttempt(attempt)).toMatchObject({ kind: 'failed', code: 'authentication' });
    expect(done).toEqual(['create', 'save resp_1', 'look', 'finish failed', 'cancel']);
  });

  it('does not stop a response that has ended', async () => {
    const lookup = { id: 'resp_1', status: 'failed', error: { code: 'server_error', message: 'x' } };
    const { attempt, done } = world({}, { lookup });
    expect(await runAttempt(attempt)).toMatchObject({ kind: 'retry', failure: { code: 'response_failed' } });
    expect(done).toEqual(['create', 'save resp_1', 'look', 'save response_failed']);
  });

  it('stops what it bought without the lock: nobody else knows its id', async () => {
    const { attempt, onSave, done } = world();
    onSave(async () => {
      throw new LockLostError('job_1');
    });
    expect(await runAttempt(attempt)).toEqual({ kind: 'lost' });
    expect(done).toEqual(['create', 'save resp_1', 'cancel']);
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
    );
    const begunAt = performance.now();
    expect(await runAttempt(attempt)).toMatchObject({ kind: 'failed', code: 'timeout' });
    expect(performance.now() - begunAt).toBeLessThan(800);
    expect(done.slice(-2)).toEqual(['cancel', 'finish failed']);
  });

  it('throws on what nobody expected, so that BullMQ tries again', async () => {
    const { attempt, onSave, done } = world();
    const oom = new Error('OOM command not allowed');
    onSave(async () => {
      throw oom;
    });
    await expect(runAttempt(attempt)).rejects.toBe(oom);
    // Its id could not be written down, so that it would be bought again.
    expect(done).toEqual(['create', 'save resp_1', 'cancel']);
  });

  it('gives the job back when the worker leaves, before it buys or when another can go on', async () => {
    const before = world();
    before.attempt.active.leave();
    expect(await runAttempt(before.attempt)).toEqual({ kind: 'released' });
    expect(before.done).toEqual([]);
    const after = world({}, { lookup: { id: 'resp_1', status: 'in_progress' } });
    after.onSave(async () => {
      after.attempt.active.leave();
      return { cancelRequested: false };
    });
    expect(await runAttempt(after.attempt)).toEqual({ kind: 'released' });
    expect(after.done).toEqual(['create', 'save resp_1']);
  });
});
