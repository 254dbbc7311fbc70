import { createPace } from '../../../src/async/pace.ts';
import { createSharedSlots } from '../../../src/async/shared-slots.ts';
import { createTurns } from '../../../src/async/turns.ts';
import { defaultModels, type ModelConfig } from '../../../src/config/file.ts';
import type { UpstreamResponse } from '../../../src/responses/response.ts';
import { type RunEnd, type RunProgress, type RunRecord, runRecordFrom } from '../../../src/run/record.ts';
import type { Spent } from '../../../src/run/spent.ts';
import type { RunRecordWriter } from '../../../src/run/writer.ts';
import { AttemptTrace } from '../../../src/tracing/attempt-trace.ts';
import { createPriceList } from '../../../src/usage/price.ts';
import { createActiveAttempt } from '../../../worker/attempt/active-attempt.ts';
import { runAttempt } from '../../../worker/attempt/attempt.ts';
import type { AttemptContext } from '../../../worker/attempt/attempt-state.ts';
import { PostponedError } from '../../../worker/reservation/reservation.ts';
import type { Upstream } from '../../../worker/upstream/client.ts';
import { onFastClock } from '../fast-clock.ts';

export const ANSWERED: UpstreamResponse = {
  id: 'resp_1',
  status: 'completed',
  model: 'o3-2025-04-16',
  output: [{ type: 'message', content: [{ type: 'output_text', text: 'Yes.' }] }],
};
export const RUNNING: UpstreamResponse = { id: 'resp_1', status: 'in_progress' };
export const ADOPTABLE = { upstreamId: 'resp_1', background: true };
export const DATA = { question: 'Is it?', stream: false };

/** What the ports of an attempt answer where a test does not want the usual. */
export interface Answers {
  /** What the create throws. */
  create?: Error;
  /** What a lookup of the response returns or throws. */
  lookup?: UpstreamResponse | Error;
  /** What a cancel of the response returns, and when. */
  cancel?: () => Promise<UpstreamResponse | null>;
  /** Whether nothing may be sent to the upstream after a refusal. */
  allWait?: boolean;
  markPurchase?: RunRecordWriter['markPurchase'];
  /** Whether BullMQ starts the job for the first time. Default false. */
  isFirstStart?: boolean;
  /** Whether the record lets a create be marked when the attempt begins. Default true. */
  maySendAtOnce?: boolean;
  /** Whether the reservation has ended before the attempt began. Default false. */
  isExpired?: boolean;
  store?: () => ReturnType<RunRecordWriter['storePurchase']>;
  save?: (progress: RunProgress) => { cancelRequested: boolean };
  /** What finds a lost response. Default: the upstream sends no webhooks. */
  lostResponses?: AttemptContext['lostResponses'];
}

/** An attempt of a job whose record says `known`, and what the attempt does to the world, in order. */
export function attemptOf(
  known: Partial<RunRecord> = {},
  answers: Answers = {},
  policy: Partial<ModelConfig> = {},
) {
  const done: string[] = [];
  const purchases: string[] = [];
  const booked: Spent[] = [];
  const ends: RunEnd[] = [];
  const later: Partial<RunRecord> = {};
  const context: Omit<AttemptContext, 'upstream' | 'eventLogPace'> = {
    data: DATA,
    tenant: '',
    attemptsMade: 0,
    maxAttempts: 3,
    alias: 'o3',
    model: { ...defaultModels().models['o3'], ...policy } as ModelConfig,
    prices: createPriceList({ prices: {} }),
    writer: {
      begin: async (_attemptsMade, create) => {
        const isMarked = create !== undefined && (answers.maySendAtOnce ?? true);
        if (isMarked) done.push('begin with mark');
        const state = known.status === undefined ? 'open' : 'finished';
        return { state, record: { ...runRecordFrom([]), attempt: 1, ...known }, isMarked };
      },
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
    openAiEvents: undefined,
    lostResponses: answers.lostResponses,
    active: createActiveAttempt(),
    takeBackMs: 1000,
    isFirstStart: answers.isFirstStart ?? false,
    now: () => Date.now(),
    reservation: {
      renew: async () => {},
      enterWindow: () => {},
      windowRefused: async () => void done.push('window refused'),
      isOpen: () => true,
      takeOverToSend: async () => {
        if (answers.isExpired) throw new PostponedError();
      },
      withheld: () => void done.push('withheld'),
      giveBack: async () => {},
      assertUnspent: () => {},
      sent: async () => {},
      accepted: () => {},
      refused: async () => answers.allWait ?? false,
      failedInside: async () => answers.allWait ?? false,
      report: async () => answers.allWait ?? false,
    },
    trace: new AttemptTrace({ id: 'job_1', model: 'o3', tenant: undefined, waitMs: 0, sent: undefined }),
    onFirstToken: () => {},
    onPurchase: (event) => void purchases.push(event),
  };
  const run = (data: unknown = DATA) =>
    onFastClock(() => {
      // These keep times of the clock on which they were made.
      const clocked = { upstream: upstreamOf(done, answers), eventLogPace: createPace(2000) };
      return runAttempt({ ...context, ...clocked, data });
    });
  return { run, active: context.active, done, purchases, booked, ends, later };
}

function upstreamOf(done: string[], { create, lookup, cancel }: Answers): Upstream {
  const upstream: Upstream = {
    withHeaders: () => upstream,
    address: 'http://127.0.0.1:9/v1',
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
    slots: createSharedSlots(1, []),
    lookups: createTurns({ uselessPerSecond: 200, moreAfterUseful: 4, atOnce: 128 }),
    windowedLookups: createTurns({ uselessPerSecond: 8, moreAfterUseful: 4, atOnce: 128 }),
    close: async () => {},
  };
  return upstream;
}
