import { defaultModels } from '../../../src/config/file.ts';
import type { Backlog } from '../../../src/fair-queue/backlog.ts';
import { NO_BOARD_LIMITS } from '../../../src/fair-queue/board-limits.ts';
import { type Runnable, type RunnableModel, runnableOf } from '../../../src/models/runnable.ts';
import type { QuotaLimits } from '../../../src/quota/quota.ts';
import type { PauseReason, QuotaPause, QuotaSnapshot } from '../../../src/quota/snapshot.ts';

const NOW = Date.parse('2026-11-29T12:00:00Z');
const NO_LIMITS: QuotaLimits = {
  ...{ requestsPerMinute: undefined, tokensPerMinute: undefined, maxInFlight: undefined },
};

/** A model with 100 jobs in its fair queue, without limits and without a worker. */
function modelWith({
  backlog = {},
  quota = {},
  limits = {},
  upstreamModel = 'o3',
}: {
  backlog?: Partial<Backlog>;
  quota?: Partial<QuotaSnapshot>;
  limits?: Partial<QuotaLimits>;
  upstreamModel?: string;
}): RunnableModel {
  const { o3 } = defaultModels().models;
  if (o3 === undefined) throw new Error('expected o3 to be configured');
  return {
    config: { ...o3, upstream: upstreamModel, completionWindows: { '2h': 0.3, '8h': 0.4 } },
    upstreamModel,
    limits: { ...NO_LIMITS, ...limits },
    backlog: {
      ...{ at: NOW, inFairQueue: 100, due: 0, takeable: 0, held: 0, active: 0, oldestAt: NOW, next: [] },
      board: { limits: NO_BOARD_LIMITS, room: Number.POSITIVE_INFINITY, kind: undefined },
      ...backlog,
    },
    quota: {
      ...{ at: NOW, requests: 0, tokens: 0, inFlight: 0, inFlightWindowed: 0, noWindowsUntil: undefined },
      ...{ advertisedRequests: undefined, advertisedTokens: undefined },
      ...{ meanTokens: undefined, meanDurationMs: undefined, pauses: [] },
      lateness: { '2h': { lateMs: 0, answers: 0 }, '8h': { lateMs: 0, answers: 0 } },
      ...quota,
    },
  };
}

const runnableIn = (parts: Parameters<typeof modelWith>[0]): Runnable | undefined =>
  runnableOf([modelWith(parts)])[0];

/** Of 100 waiting jobs. */
const held = (runnable: number, limitedBy: Runnable['limitedBy']): Runnable => ({
  ...{ waiting: 100, runnable, limitedBy },
});

const pausedFor = (reason: PauseReason, ms: number): QuotaPause => ({ reason, until: NOW + ms, words: '' });

it('every waiting job is runnable without limits, also without a worker', () => {
  expect(runnableIn({})).toEqual(held(100, null));
  expect(runnableIn({ backlog: { inFairQueue: 0 } })).toEqual({ waiting: 0, runnable: 0, limitedBy: null });
});

it('a due job waits, and jobs that need only a worker are runnable whatever the quota says', () => {
  const backlog = { inFairQueue: 90, due: 7, takeable: 3 };
  expect(runnableIn({ backlog })).toEqual(held(100, null));
  const quota = { pauses: [pausedFor('quota_exhausted', 60_000)] };
  expect(runnableIn({ backlog, quota })).toEqual(held(3, 'quota_exhausted'));
});

it.each<PauseReason>(['gone', 'quota_exhausted', 'credentials_refused', 'wrong_address', 'upstream_down'])(
  'nothing is runnable under the pause %s until its next probe is due, and then one job is',
  (reason) => {
    expect(runnableIn({ quota: { pauses: [pausedFor(reason, 1)] } })).toEqual(held(0, reason));
    expect(runnableIn({ quota: { pauses: [pausedFor(reason, 0)] } })).toEqual(held(1, reason));
  },
);

it('a due probe waits for the end of the time that a 429 has named', () => {
  const pauses = [pausedFor('upstream_down', -5000), pausedFor('rate_limited', 2000)];
  expect(runnableIn({ quota: { pauses } })).toEqual(held(0, 'rate_limited'));
});

it('the free requests of the minute limit what is runnable, by the lower of both limits', () => {
  const limits = { requestsPerMinute: 60 };
  expect(runnableIn({ limits, quota: { requests: 20 } })).toEqual(held(40, 'requests_per_minute'));
  expect(runnableIn({ limits, quota: { requests: 20, advertisedRequests: 25 } })).toEqual(
    held(5, 'requests_per_minute'),
  );
  // A limit may be lowered while more was sent.
  expect(runnableIn({ limits, quota: { requests: 90 } })).toEqual(held(0, 'requests_per_minute'));
  expect(runnableIn({ limits: { requestsPerMinute: 100 } })).toEqual(held(100, null));
});

it('the free tokens of the minute limit what is runnable, by what the next jobs need', () => {
  const limits = { tokensPerMinute: 30_000 };
  const quota = { tokens: 10_000, meanTokens: 3000 };
  expect(runnableIn({ limits, quota })).toEqual(held(6, 'tokens_per_minute'));
  // Large inputs of the next jobs count more than the mean of the earlier ones.
  const next = [9000, 11_000].map((input) => ({ need: { input }, dataBytes: 0 }));
  expect(runnableIn({ limits, quota, backlog: { next } })).toEqual(held(2, 'tokens_per_minute'));
  // A job of another BullMQ client has no estimate, but a length.
  const foreign = [{ need: undefined, dataBytes: 40_000 }];
  expect(runnableIn({ limits, quota, backlog: { next: foreign } })).toEqual(held(2, 'tokens_per_minute'));
  // Nothing has ended yet.
  expect(runnableIn({ limits, quota: { tokens: 0 } })).toEqual(held(30, 'tokens_per_minute'));
});

it('a job that needs more than all tokens of a minute is runnable when nothing else counts', () => {
  const limits = { tokensPerMinute: 30_000 };
  expect(runnableIn({ limits, quota: { meanTokens: 50_000 } })).toEqual(held(1, 'tokens_per_minute'));
  expect(runnableIn({ limits, quota: { meanTokens: 50_000, tokens: 1 } })).toEqual(
    held(0, 'tokens_per_minute'),
  );
});

it('the free places in flight limit what is runnable, and windowed responses take none of them', () => {
  const limits = { maxInFlight: 50, maxInFlightWindowed: 2000 };
  const quota = { inFlight: 48, inFlightWindowed: 8 };
  expect(runnableIn({ limits, quota })).toEqual(held(10, 'max_in_flight'));
  expect(runnableIn({ limits, quota: { inFlight: 60 } })).toEqual(held(0, 'max_in_flight'));
});

describe('places for completion windows', () => {
  const upstreamModel = 'gpt-6.2-sol';
  const limits = { maxInFlight: 50, maxInFlightWindowed: 20 };
  const windowed = { need: { window: '8h' }, dataBytes: 0 };
  const ordinary = { need: {}, dataBytes: 0 };

  it('count when the next jobs get windows', () => {
    const quota = { inFlight: 60, inFlightWindowed: 15 };
    const of = (next: Backlog['next']) => runnableIn({ upstreamModel, limits, quota, backlog: { next } });
    expect(of([ordinary])).toEqual(held(5, 'max_in_flight'));
    expect(of([windowed])).toEqual(held(5, 'max_in_flight_windowed'));
    expect(of([windowed, ordinary])).toEqual(held(10, 'max_in_flight'));
  });

  it('do not count after the upstream has refused a window that the queue had chosen', () => {
    const next = [{ need: { by: NOW + 20 * 3_600_000 }, dataBytes: 0 }];
    const of = (noWindowsUntil?: number) =>
      runnableIn({ upstreamModel, limits, quota: { inFlight: 50, noWindowsUntil }, backlog: { next } });
    expect(of()).toEqual(held(20, 'max_in_flight_windowed'));
    expect(of(NOW + 60_000)).toEqual(held(0, 'max_in_flight'));
  });
});

it('jobs of tenants that are at their own limits are not runnable', () => {
  expect(runnableIn({ backlog: { held: 60 } })).toEqual(held(40, 'tenant_limits'));
  // The lower limit is named.
  expect(runnableIn({ backlog: { held: 60 }, limits: { requestsPerMinute: 10 } })).toEqual(
    held(10, 'requests_per_minute'),
  );
  expect(runnableIn({ backlog: { held: 95 }, limits: { requestsPerMinute: 10 } })).toEqual(
    held(5, 'tenant_limits'),
  );
});

it.each(['pause', 'concurrency', 'rate_limit'] as const)(
  'a %s on Bull Board holds all jobs beyond it, also those that need only a worker',
  (kind) => {
    const room = kind === 'pause' ? 0 : 4;
    const board = { limits: NO_BOARD_LIMITS, room, kind };
    expect(runnableIn({ backlog: { inFairQueue: 94, takeable: 6, board } })).toEqual(
      held(room, `board_${kind}`),
    );
  },
);

it('models that share an upstream model share its quota', () => {
  const part = { limits: { requestsPerMinute: 130 }, quota: { requests: 10 } };
  const models = [modelWith(part), modelWith(part), modelWith({ ...part, upstreamModel: 'gpt-5.6-sol' })];
  expect(runnableOf(models)).toEqual([held(100, null), held(20, 'requests_per_minute'), held(100, null)]);
});
