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
import {
  estimateOf,
  MOST_WINDOWED,
  type Need,
  placeOf,
  type ReserveReply,
  reserveFields,
  reserveReplyFrom,
  tokenCount,
  windowsArgument,
} from './reserve.ts';
import { decodeSnapshot, type QuotaSnapshot } from './snapshot.ts';

export type { QuotaReport } from './report.ts';
export type {
  Need,
  QuotaWait,
  ReserveReply,
} from './reserve.ts';

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
  /** Responses within a completion window, which take no place of `maxInFlight`. Default: no limit. */
  maxInFlightWindowed?: number | undefined;
}

/**
 * quotaJobId returns a job's id in quotas. It contains the model, because several models may share a quota,
 * and because other BullMQ clients number the jobs of each queue from 1.
 */
export function quotaJobId(model: string, id: string): string {
  return `${model}:${id}`;
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
  /** The completion window of a running response; undefined: `soonest`. */
  window?: string | undefined;
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
  /**
   * Records that the upstream has refused a completion window. For an hour no job gets one that its own
   * request does not name.
   */
  refusesWindows(): Promise<void>;
  /** Ends every pause, by hand. @returns whether there was one. */
  resume(): Promise<boolean>;
  /** Ends every pause, if one of them is for refused credentials. */
  retryCredentials(): Promise<void>;
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

export function createQuota(redis: RedisClient, prefix: string, upstreamModel: string): Quota {
  const keys = quotaKeysOf(prefix, upstreamModel);
  const advance = inBatches<Steps, (string | number)[]>(async (batch) => {
    const args = { leaseMs: LEASE_MS, runningLeaseMs: RUNNING_LEASE_MS };
    const rest = batch.flat(2);
    const answers = (await quotaAdvance.run(redis, { keys, args, rest })) as (string | number)[];
    return batch.map(({ length }) => ({ status: 'fulfilled', value: answers.splice(0, length) }));
  }, MOST_STEPS);
  const resume = async (): Promise<boolean> => (await quotaResume.run(redis, { keys, args: {} })) === 1;
  const snapshot = async (): Promise<QuotaSnapshot> =>
    decodeSnapshot(await quotaSnapshot.run(redis, { keys, args: {} }));
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
        maxWindowed: limits.maxInFlightWindowed ?? MOST_WINDOWED,
        windows: windowsArgument(needs),
        runningLeaseMs: RUNNING_LEASE_MS,
        // A worker that lives renews each lease four times as often.
        abandonedMs: LEASE_MS,
      };
      const rest = needs.flatMap(reserveFields);
      return reserveReplyFrom(await quotaReserve.run(redis, { keys, args, rest }));
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
      const steps = jobs.map(({ id, phase, window }) => [
        id,
        window === undefined || phase !== 'running' ? phase : `running@${placeOf(window)}`,
      ]);
      const found = await advance(steps);
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
    async refusesWindows() {
      await advance([['', 'no-windows']]);
    },
    resume,
    async retryCredentials() {
      const { pauses } = await snapshot();
      if (pauses.some(({ reason }) => reason === 'credentials_refused')) await resume();
    },
    async settle(id, used, isAnswered = false) {
      const tokens = used === undefined ? ['', ''] : [used.inputTokens, used.outputTokens].map(tokenCount);
      const [answer] = await advance([
        [id, 'ended', ...tokens, used?.durationMs ?? '', isAnswered ? '1' : ''],
      ]);
      return answer === 1;
    },
    snapshot,
  };
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
