import { createPace } from '../../../src/async/pace.ts';
import { createSemaphore } from '../../../src/async/semaphore.ts';
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
import { runAttempt } from '../../../worker/attempt/attempt.ts';
import type { AttemptContext } from '../../../worker/attempt/attempt-state.ts';
import type { Upstream } from '../../../worker/upstream/client.ts';
import { PurchaseUncertainError } from '../../../worker/upstream/errors.ts';
import { onFastClock } from '../../support/fast-clock.ts';

const ANSWERED: UpstreamResponse = {
  id: 'resp_1',
  status: 'completed',
  model: 'o3-2025-04-16',
  output: [{ type: 'message', content: [{ type: 'output_text', text: 'Yes.' }] }],
};
const RUNNING: UpstreamResponse = { id: 'resp_1', status: 'in_progress' };
const ADOPTABLE = { upstreamId: 'resp_1', background: true };
const DATA = { question: 'Is it?', stream: false };

/** What the ports of an attempt answer where a test does not want the usual. */
interface Answers {
  /** What the create throws. */
  create?: Error;
  /** What a lookup of the response returns or throws. */
  lookup?: UpstreamResponse | Error;
  /** What a cancel of the response returns, and when. */
  cancel?: () => Promise<UpstreamResponse | null>;
  /** Whether nothing may be sent to the upstream after a refusal. */
  allWait?: boolean;
  markPurchase?: RunRecordWriter['markPurchase'];
  store?: () => ReturnType<RunRecordWriter['storePurchase']>;
  save?: (progress: RunProgress) => { cancelRequested: boolean };
}

/** An attempt of a job whose record says `known`, and what the attempt does to the world, in order. */
function attemptOf(known: Partial<RunRecord> = {}, answers: Answers = {}, policy: Partial<ModelConfig> = {}) {
  const done: string[] = [];
  const purchases: string[] = [];
  const booked: Spent[] = [];
  const ends: RunEnd[] = [];
  const later: Partial<RunRecord> = {};
  const context: AttemptContext = {
    data: DATA,
    attemptsMade: 0,
    maxAttempts: 3,
    alias: 'o3',
    model: { ...defaultModels().models['o3'], ...policy } as ModelConfig,
    prices: createPriceList({}),
    writer: {
      begin: async () => ({
        state: known.status === undefined ? 'open' : 'finished',
        record: { ...runRecordFrom([]), attempt: 1, ...known },
      }),
      read: async () => ({ ...runRecordFrom([]), ...known, ...later }),
      markPurchase: async (fencingToken) => {
        done.push('mark');
        return (
          answers.markPurchase?.(fencingToken) ?? { kind: 'ok', replaced: known.purchaseMark !== undefined }
        );
      },
      storePurchase: async (_token, { upstreamId }) => {
        done.push(`store ${upstreamId}`);
        return answers.store?.() ?? 'ok';
      },
      takeBack: async () => false,
      eventLog: async () => ({ entries: [], purchase: 0 }),
      save: async (progress, spent) => {
        if (spent) booked.push(spent);
        const withdrawn = 'purchaseMark' in progress ? 'withdrawn' : undefined;
        done.push(`save ${progress.error?.code ?? withdrawn ?? progress.upstreamStatus ?? ''}`);
        return answers.save?.(progress) ?? { cancelRequested: false };
      },
      append: async () => ({ cancelRequested: false }),
      finish: async (end) => {
        done.push(`finish ${end.status}`);
        ends.push(end);
        return ends[0]?.status ?? end.status;
      },
    },
    upstream: upstreamOf(done, answers),
    openAiEvents: undefined,
    lostResponses: undefined,
    active: createActiveAttempt(),
    eventLogPace: createPace(2000),
    takeBackMs: 1000,
    reservation: {
      renew: async () => {},
      giveBack: async () => {},
      assertUnspent: () => {},
      sent: async () => {},
      accepted: () => {},
      refused: async () => answers.allWait ?? false,
      failedInside: async () => answers.allWait ?? false,
      report: async () => answers.allWait ?? false,
    },
    onPurchase: (event) => void purchases.push(event),
  };
  const run = (data: unknown = DATA) => onFastClock(() => runAttempt({ ...context, data }));
  return { run, active: context.active, done, purchases, booked, ends, later };
}

function upstreamOf(done: string[], { create, lookup, cancel }: Answers): Upstream {
  const upstream: Upstream = {
    withHeaders: () => upstream,
    isSimulated: () => false,
    create: async () => {
      done.push('create');
      if (create !== undefined) throw create;
      const response = { id: 'resp_1', status: 'queued' };
      return { response, background: true, streamed: false, simulated: false };
    },
    retrieve: async () => {
      done.push('look');
      if (lookup instanceof Error) throw lookup;
      return lookup ?? ANSWERED;
    },
    resume: async () => {
      throw new Error('expected no stream');
    },
    cancel: async () => {
      done.push('cancel');
      return cancel?.() ?? null;
    },
    delete: async () => true,
    listModels: async () => undefined,
    graceMs: 300,
    lostMs: 1000,
    slots: createSemaphore(1),
    pace: createPace(200),
    close: async () => {},
  };
  return upstream;
}

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
    const spent = { responseId: 'resp_1', costNano: 1000 * 2000 + 500 * 8000, usage };
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

describe('a lost lock', () => {
  it('leaves a response whose id was stored to the worker that has the lock', async () => {
    const { run, done } = attemptOf({}, { store: () => Promise.reject(new LockLostError('job_1')) });
    expect(await run()).toEqual({ kind: 'lost' });
    expect(done).toEqual(['mark', 'create', 'store resp_1']);
  });

  it('cancels a response whose create was superseded by another', async () => {
    const { run, done } = attemptOf({}, { store: async () => 'superseded' });
    expect(await run()).toEqual({ kind: 'lost' });
    expect(done).toEqual(['mark', 'create', 'store resp_1', 'cancel']);
  });

  it('leaves an adopted response alone', async () => {
    const { run, active, done } = attemptOf(ADOPTABLE, { lookup: RUNNING });
    const running = run();
    active.interrupt('lock lost');
    expect(await running).toEqual({ kind: 'lost' });
    expect(done).not.toContain('cancel');
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
    const purchaseMark = { fencingToken: 'purchase-0', at: Date.now(), isAbandoned: false };
    const { run, active, done, purchases } = attemptOf({ purchaseMark });
    const running = run();
    active.requestStop();
    expect(await running).toEqual({ kind: 'released' });
    expect([done, purchases]).toEqual([[], []]);
  });
});

describe('an uncertain purchase', () => {
  const purchaseMark = { fencingToken: 'purchase-0', at: Date.now(), isAbandoned: false };
  const uncertain = new PurchaseUncertainError(new RetryableError('connection_lost', 'reset'));

  it('is counted when the job is bought again', async () => {
    const { run, done, purchases } = attemptOf({ purchaseMark: { ...purchaseMark, isAbandoned: true } });
    expect(await run()).toMatchObject({ kind: 'completed' });
    expect(done[0]).toBe('mark');
    expect(purchases).toEqual(['uncertain', 'bought']);
  });

  it('fails the job when that is the policy', async () => {
    const { run, done, purchases } = attemptOf({ purchaseMark }, {}, { onUncertain: 'fail' });
    expect(await run()).toMatchObject({ kind: 'failed', code: 'purchase_uncertain' });
    expect([done, purchases]).toEqual([['finish failed'], ['uncertain']]);
  });

  it('is adopted when its sender stores the id late', async () => {
    const { run, later, done, purchases } = attemptOf({ purchaseMark });
    const running = run();
    Object.assign(later, ADOPTABLE);
    expect(await running).toMatchObject({ kind: 'completed' });
    expect([done, purchases]).toEqual([['look', 'finish completed'], ['adopted']]);
  });

  it('is adopted when its sender stores the id just before another create', async () => {
    const record = { ...runRecordFrom([]), ...ADOPTABLE };
    const { run, done, purchases } = attemptOf(
      {},
      { markPurchase: async () => ({ kind: 'purchased', record }) },
    );
    expect(await run()).toMatchObject({ kind: 'completed' });
    expect([done, purchases]).toEqual([['mark', 'look', 'finish completed'], ['adopted']]);
  });

  it('keeps its mark for the next attempt, and is counted when there is none', async () => {
    const first = attemptOf({}, { create: uncertain });
    expect(await first.run()).toMatchObject({ kind: 'retry', failure: uncertain.failure });
    expect([first.done, first.purchases]).toEqual([['mark', 'create', 'save connection_lost'], []]);
    const careful = attemptOf({}, { create: uncertain }, { onUncertain: 'fail' });
    expect(await careful.run()).toMatchObject({ kind: 'failed', code: 'purchase_uncertain' });
    expect(careful.purchases).toEqual(['uncertain']);
    const last = attemptOf({ attempt: 3 }, { create: uncertain });
    expect(await last.run()).toMatchObject({ kind: 'failed', code: 'connection_lost' });
    expect(last.purchases).toEqual(['uncertain']);
  });
});
