import { inBatches } from '../async/batches.ts';
import { quotaAdvance } from '../lua/quota/advance.ts';
import { quotaGiveBack } from '../lua/quota/lease.ts';
import { quotaExpect, quotaSnapshot } from '../lua/quota/quota.ts';
import { quotaReport, quotaResume } from '../lua/quota/report.ts';
import { quotaReserve } from '../lua/quota/reserve.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { ScriptValue } from '../redis/script.ts';
import { quotaKeysOf } from './keys.ts';
import { actionFor, MOST_WORDS, type QuotaReport } from './report.ts';
import { decodeSnapshot, type PauseReason, type QuotaSnapshot } from './snapshot.ts';

export type { QuotaReport } from './report.ts';

/** The most tokens that one job can be charged, more than any model accepts. */
const MOST_TOKENS = 1e9;
/**
 * The lease of a reservation, in milliseconds. It is a little longer than the recovery of a dead worker's job
 * takes. With a much longer lease, other jobs would wait too long for what a dead worker has reserved.
 */
export const LEASE_MS = 24_000;
/**
 * The lease while the response runs at the upstream, in milliseconds. The response outlives its worker, and
 * counts against every limit until another worker takes the response over.
 */
export const RUNNING_LEASE_MS = 600_000;
/**
 * The lease until a worker has the job, in milliseconds. When the dispatcher dies before that, other jobs
 * must wait until this lease ends.
 */
export const STARTING_LEASE_MS = 4000;

/**
 * QuotaLimits are the configured limits of an upstream model. Where a limit is undefined, the limit that the
 * upstream advertises applies, or none.
 */
export interface QuotaLimits {
  /** Create requests in any 60 seconds. */
  requestsPerMinute: number | undefined;
  /** Input and output tokens in any 60 seconds. */
  tokensPerMinute: number | undefined;
  maxInFlight: number | undefined;
}

/**
 * quotaJobId returns a job's id in quotas. It contains the model, because several models may share a quota,
 * and because other BullMQ clients number the jobs of each queue from 1.
 */
export function quotaJobId(model: string, id: string): string {
  return `${model}:${id}`;
}

/** Need is what a job needs of a quota. */
export interface Need {
  /** The id, as `quotaJobId` makes it. All ids below have this form. */
  id: string;
  /** Input tokens, estimated from the length of the text. */
  inputTokens: number;
  /** `<tenant>/<reasoning effort>`: jobs of one class use a similar number of output tokens. */
  class: string;
  /**
   * The tenant of the job, and its tag and weight in the fair queue. undefined: needs are served in the order
   * of the list.
   */
  turn?: { tenant: string; tag: number; weight: number };
}

/** QuotaReason says why no job may be sent to an upstream model right now. */
export type QuotaReason = 'requests_per_minute' | 'tokens_per_minute' | 'max_in_flight' | PauseReason;

/** QuotaWait says why a job has to wait for a quota, and for how many milliseconds at least. */
export interface QuotaWait {
  reason: QuotaReason;
  milliseconds: number;
}

/** ReserveReply is what `Quota.reserve` has reserved. */
export interface ReserveReply {
  /**
   * For each need that was considered, in order: the number of tokens that are reserved for the job, `taken`
   * when another dispatcher has reserved for it, or `skipped` when another job was preferred.
   */
  answers: (number | 'taken' | 'skipped')[];
  /**
   * What each reservation costs its tenant: the largest share that it takes of a minute's limits. In the
   * order of `answers`; 0 for a job without a new reservation.
   */
  costs: number[];
  /** Whether only large jobs have to wait: smaller jobs that are enqueued now may start. */
  onlyLarge: boolean;
  /** The end of the leases, in Unix milliseconds. */
  untilMs: number;
  /** Why the other needs have to wait; undefined: there was enough for all. */
  wait: QuotaWait | undefined;
}

/**
 * AdvertisedLimits are the upstream's own limits, from the headers of an answer; undefined: the header is
 * missing.
 */
export interface AdvertisedLimits {
  limitRequests: number | undefined;
  limitTokens: number | undefined;
  remainingRequests: number | undefined;
  remainingTokens: number | undefined;
}

/** RenewedJob is a job whose lease is renewed; much longer while its response runs at the upstream. */
export interface RenewedJob {
  id: string;
  /** `sending`: its create request is on its way, so that its reservation is spent from now on. */
  phase: 'reserved' | 'sending' | 'running';
}

/**
 * Quota is the quota of one upstream model, shared by all workers. Each method is one step in Redis, on the
 * clock of Redis. `renew`, `accepted` and `settle` of one moment are sent together.
 */
export interface Quota {
  /** The channel on which dispatchers hear that the quota has changed. */
  readonly channel: string;
  /**
   * Reserves quota for some seconds only: the worker that gets the job renews the lease.
   * @param options.evenIfGone whether to reserve even if the upstream does not have the model.
   * @param options.most how many jobs to reserve for at most. Default: all.
   */
  reserve(
    needs: readonly Need[],
    limits: QuotaLimits,
    options?: { evenIfGone?: boolean; most?: number },
  ): Promise<ReserveReply>;
  /**
   * Returns the tokens that jobs are expected to use, in the order of `needs`, learned from earlier jobs of
   * the same class.
   */
  expect(needs: readonly Need[]): Promise<{ inputTokens: number; outputTokens: number }[]>;
  /**
   * Gives back reservations that were not used.
   * @param options.why `refused`: the upstream has refused the create requests, which stay charged as requests.
   * `withheld`: they were not sent after all, although `renew` was told that they are on their way.
   * @param options.untilMs as `reserve` returned it. A later reservation of the same job stays. Default: any.
   */
  giveBack(
    ids: readonly string[],
    options?: { why?: 'refused' | 'withheld' | ''; untilMs?: number | '' },
  ): Promise<void>;
  /**
   * Renews the leases of jobs.
   * @returns for each job whether it had a reservation, and whether a create request was sent with it before.
   */
  renew(jobs: readonly RenewedJob[]): Promise<('reserved' | 'sent' | 'expired')[]>;
  /**
   * Records that the create request of job `id` was accepted.
   * @returns whether this has ended a pause of the model.
   */
  accepted(advertised: AdvertisedLimits, id?: string): Promise<boolean>;
  /**
   * Records a refusal of the create request of job `id`.
   * @returns `alone`: the refusal concerns this job only. `known`: all workers wait, and did so before.
   * `new`: all workers wait from now on.
   */
  report(report: QuotaReport, id?: string): Promise<'alone' | 'known' | 'new'>;
  /** Ends every pause, by hand. @returns whether there was one. */
  resume(): Promise<boolean>;
  /**
   * Replaces a reservation by the job's usage; undefined: the usage is unknown, and the reservation stays
   * charged.
   * @param isAnswered whether the response has brought an answer. Default false.
   * @returns whether this has ended a pause.
   */
  settle(
    id: string,
    used: { inputTokens: number; outputTokens: number; durationMs: number | undefined } | undefined,
    isAnswered?: boolean,
  ): Promise<boolean>;
  snapshot(): Promise<QuotaSnapshot>;
}

/** How many calls may add their steps to one script: Redis does nothing else while it runs. */
const MOST_STEPS = 200;

/** Steps of `quotaAdvance` that are taken together; each is the job's id, its phase and what belongs to it. */
type Steps = (readonly ScriptValue[])[];

type ReserveScriptReply = [
  reason: QuotaReason | '',
  waitMs: number,
  untilMs: string,
  onlyLarge: 0 | 1,
  costs: string[],
  ...answers: string[],
];

export function createQuota(redis: RedisClient, prefix: string, upstreamModel: string): Quota {
  const keys = quotaKeysOf(prefix, upstreamModel);
  const advance = inBatches<Steps, (string | number)[]>(async (batch) => {
    const args = { leaseMs: LEASE_MS, runningLeaseMs: RUNNING_LEASE_MS };
    const rest = batch.flat(2);
    const answers = (await quotaAdvance.run(redis, { keys, args, rest })) as (string | number)[];
    return batch.map(({ length }) => ({ status: 'fulfilled', value: answers.splice(0, length) }));
  }, MOST_STEPS);
  return {
    channel: keys.state,
    async reserve(needs, limits, { evenIfGone = false, most = needs.length } = {}) {
      const args = {
        maxRequests: limits.requestsPerMinute ?? '',
        maxTokens: limits.tokensPerMinute ?? '',
        maxInFlight: limits.maxInFlight ?? '',
        leaseMs: STARTING_LEASE_MS,
        evenIfGone: evenIfGone ? '1' : '',
        most,
      };
      const rest = needs.flatMap((need) => {
        const { tenant, tag, weight } = need.turn ?? { tenant: '', tag: 0, weight: 1 };
        return [need.id, ...estimateOf(need), tenant, tag, weight];
      });
      const reply = await quotaReserve.run(redis, { keys, args, rest });
      const [reason, waitMs, untilMs, onlyLarge, costs, ...answers] = reply as ReserveScriptReply;
      return {
        untilMs: Number(untilMs),
        answers: answers.map((answer) => {
          if (answer === '') return 'skipped';
          return answer === '-1' ? 'taken' : Number(answer);
        }),
        costs: costs.map(Number),
        onlyLarge: onlyLarge === 1,
        wait: reason === '' ? undefined : { reason, milliseconds: Math.max(1, waitMs) },
      };
    },
    async expect(needs) {
      if (needs.length === 0) return [];
      const rest = needs.flatMap(estimateOf);
      const reply = (await quotaExpect.run(redis, { keys, args: {}, rest })) as number[];
      return needs.map((_, i) => ({ inputTokens: reply[2 * i] ?? 0, outputTokens: reply[2 * i + 1] ?? 0 }));
    },
    async giveBack(ids, { why = '', untilMs = '' } = {}) {
      if (ids.length === 0) return;
      await quotaGiveBack.run(redis, { keys, args: { why, untilMs }, rest: ids });
    },
    async renew(jobs) {
      if (jobs.length === 0) return [];
      const found = await advance(jobs.map(({ id, phase }) => [id, phase]));
      return found as ('reserved' | 'sent' | 'expired')[];
    },
    async accepted({ limitRequests, limitTokens, remainingRequests, remainingTokens }, id = '') {
      const advertised = [limitRequests, limitTokens, remainingRequests, remainingTokens];
      const [answer] = await advance([[id, 'accepted', ...advertised.map((value) => value ?? '')]]);
      return answer === 1;
    },
    async report(report, id = '') {
      const { words = '', inside = false } = report;
      const args = {
        ...actionFor(report),
        ...{ id, words: words.slice(0, MOST_WORDS), inside: inside ? '1' : '' },
      };
      return (await quotaReport.run(redis, { keys, args })) as 'alone' | 'known' | 'new';
    },
    async resume() {
      return (await quotaResume.run(redis, { keys, args: {} })) === 1;
    },
    async settle(id, used, isAnswered = false) {
      const tokens = used === undefined ? ['', ''] : [used.inputTokens, used.outputTokens].map(tokenCount);
      const [answer] = await advance([
        [id, 'ended', ...tokens, used?.durationMs ?? '', isAnswered ? '1' : ''],
      ]);
      return answer === 1;
    },
    async snapshot() {
      return decodeSnapshot(await quotaSnapshot.run(redis, { keys, args: {} }));
    },
  };
}

function estimateOf(need: Need): [number, string] {
  return [tokenCount(need.inputTokens), need.class];
}

/**
 * Returns a usable token count: other servers and other BullMQ clients may send any number, and a script
 * cannot calculate with some of them.
 */
function tokenCount(value: number): number {
  return Number.isFinite(value) ? Math.min(Math.max(0, Math.ceil(value)), MOST_TOKENS) : 0;
}

/** Quotas are the quotas of all upstream models. */
export interface Quotas {
  of(upstreamModel: string): Quota;
}

export function createQuotas(redis: RedisClient, prefix: string): Quotas {
  const quotas = new Map<string, Quota>();
  return {
    of(upstreamModel) {
      const quota = quotas.get(upstreamModel) ?? createQuota(redis, prefix, upstreamModel);
      quotas.set(upstreamModel, quota);
      return quota;
    },
  };
}
