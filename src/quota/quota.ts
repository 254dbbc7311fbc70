import { expectScript, isGoneScript } from '../lua/quota/estimate.ts';
import { giveBackScript, renewScript, sentScript } from '../lua/quota/lease.ts';
import { acceptedScript, reportScript, resumeScript } from '../lua/quota/report.ts';
import { settleScript } from '../lua/quota/settle.ts';
import { takeScript } from '../lua/quota/take.ts';
import type { RedisClient } from '../redis/connection.ts';
import { allOf, quotaKeysOf } from './keys.ts';

/** Of one job. No model takes as many. */
const MOST_TOKENS = 1e9;
/** How long a dead worker holds what it had: longer than a job takes to be recovered, shorter than anybody would wait. */
export const LEASE_MS = 24_000;
/** A response runs on when its worker is gone, and counts against every limit until somebody looks after it. */
export const RUNNING_LEASE_MS = 600_000;
/** How long a job may have what it needs and be in no worker's hands: when its dispatcher dies there, the next ones wait behind it. */
export const STARTING_MS = 4000;

/** `undefined`: what the upstream tells of itself, or none. */
export interface QuotaLimits {
  /** In any 60 seconds. */
  requestsPerMinute: number | undefined;
  /** In any 60 seconds, input and output. */
  tokensPerMinute: number | undefined;
  maxInFlight: number | undefined;
}

/** By which quotas know a job: aliases of one upstream model share its quota, and bare BullMQ clients number the jobs of each queue from 1. */
export function holderOf(model: string, id: string): string {
  return `${model}:${id}`;
}

/** What a job is expected to need. */
export interface Need {
  /** See `holderOf`; so are all ids below. */
  id: string;
  /** By the length of its text. */
  inputTokens: number;
  /** Jobs of one class use alike many output tokens: `<tenant>/<reasoning effort>`. */
  class: string;
}

/** Why nothing more may be sent to an upstream model right now. */
export type QuotaReason =
  | 'requests_per_minute'
  | 'tokens_per_minute'
  | 'max_in_flight'
  /** It has answered 429, and said when to ask again. */
  | 'rate_limited'
  /** It has answered 429, since there is no money left. */
  | 'quota_exhausted'
  | 'upstream_down'
  /** It has no such model. */
  | 'gone';

export interface Taken {
  /** An answer for each need that was looked at, in their order: tokens reserved, or `held` by another dispatcher. */
  answers: (number | 'held')[];
  /** Until when it is held unless it is renewed, in milliseconds. */
  untilMs: number;
  /** Why the rest has to wait, and for how long at least. undefined: there was enough for all. */
  wait: { reason: QuotaReason; milliseconds: number } | undefined;
}

/** What a create has met. */
export type QuotaReport =
  | { what: 'rate_limited'; retryAfterMs: number }
  | { what: 'quota_exhausted' | 'unreachable' | 'failed' | 'gone' };

/** What the upstream says of its own limits with each answer; undefined: nothing. */
export interface AdvertisedLimits {
  limitRequests: number | undefined;
  limitTokens: number | undefined;
  remainingRequests: number | undefined;
  remainingTokens: number | undefined;
}

/** What is known of a quota, for who watches. Times in milliseconds. */
export interface QuotaState {
  requests: number;
  tokens: number;
  inFlight: number;
  toldRequests: number | undefined;
  toldTokens: number | undefined;
  /** Of those that have ended: tokens and milliseconds a job. */
  meanTokens: number | undefined;
  meanDurationMs: number | undefined;
}

/** The quota of one upstream model, as all workers share it. Every method is one step in Redis, on its clock. */
export interface Quota {
  /** The channel on which dispatchers hear that it has changed. */
  readonly channel: string;
  /**
   * Holds what it takes for some seconds only: the worker that gets the job renews it.
   * @param options.evenIfGone asks an upstream that has said that it has no such model.
   */
  take(needs: readonly Need[], limits: QuotaLimits, options?: { evenIfGone?: boolean }): Promise<Taken>;
  /** What jobs are expected to use, from what such jobs have used; in their order. */
  expect(needs: readonly Need[]): Promise<{ inputTokens: number; outputTokens: number }[]>;
  /** Whether the upstream has said lately that it has no such model. */
  isGone(): Promise<boolean>;
  /**
   * @param options.refused the upstream has refused the creates: their requests stay counted.
   * @param options.untilMs as `take` has said: what somebody else has taken since stays theirs. Default: whoever has it.
   */
  giveBack(ids: readonly string[], options?: { refused?: boolean; untilMs?: number }): Promise<void>;
  /**
   * What these jobs hold is theirs for another lease; `running`: their response runs at the upstream, and counts for much longer.
   * @returns for each whether it holds anything, and whether a create was sent with it.
   */
  renew(jobs: readonly { id: string; running: boolean }[]): Promise<('held' | 'sent' | 'lapsed')[]>;
  /** A create is on its way: what was reserved for it is spent. */
  sent(id: string): Promise<void>;
  /** @param id of the job whose create it was. @returns whether a stop is over with it. */
  accepted(told: AdvertisedLimits, id?: string): Promise<boolean>;
  /** @param id of the job whose create it was. @returns `alone`: it concerns nobody else. Otherwise everybody waits now; `known`: they did before. */
  report(report: QuotaReport, id?: string): Promise<'alone' | 'known' | 'new'>;
  /** A person says that there is money again. @returns whether it had been out. */
  resume(): Promise<boolean>;
  /** What a job has really used; undefined: nobody knows. */
  settle(
    id: string,
    used: { inputTokens: number; outputTokens: number; durationMs: number | undefined } | undefined,
  ): Promise<void>;
  state(): Promise<QuotaState>;
}

export function createQuota(redis: RedisClient, prefix: string, upstreamModel: string): Quota {
  const keys = quotaKeysOf(prefix, upstreamModel);
  const all = allOf(keys);
  return {
    channel: keys.state,
    async take(needs, limits, { evenIfGone = false } = {}) {
      const reply = await takeScript.run(redis, all, [
        ...[limits.requestsPerMinute, limits.tokensPerMinute, limits.maxInFlight].map(orEmpty),
        STARTING_MS,
        evenIfGone ? '1' : '',
        ...needs.flatMap((need) => [need.id, ...estimateOf(need)]),
      ]);
      const [reason, waitMs, untilMs, ...answers] = reply as [QuotaReason | '', number, string, ...string[]];
      return {
        untilMs: Number(untilMs),
        answers: answers.map((answer) => (answer === '-1' ? 'held' : Number(answer))),
        wait: reason === '' ? undefined : { reason, milliseconds: Math.max(1, waitMs) },
      };
    },
    async expect(needs) {
      if (needs.length === 0) return [];
      const reply = (await expectScript.run(redis, all, needs.flatMap(estimateOf))) as number[];
      return needs.map((_, i) => ({ inputTokens: reply[2 * i] ?? 0, outputTokens: reply[2 * i + 1] ?? 0 }));
    },
    async isGone() {
      return (await isGoneScript.run(redis, all, [])) === 1;
    },
    async giveBack(ids, { refused = false, untilMs } = {}) {
      if (ids.length > 0)
        await giveBackScript.run(redis, all, [refused ? '1' : '', orEmpty(untilMs), ...ids]);
    },
    async renew(jobs) {
      if (jobs.length === 0) return [];
      const values = jobs.flatMap(({ id, running }) => [id, running ? '1' : '']);
      const reply = await renewScript.run(redis, all, [LEASE_MS, RUNNING_LEASE_MS, ...values]);
      return reply as ('held' | 'sent' | 'lapsed')[];
    },
    async sent(id) {
      await sentScript.run(redis, all, [id]);
    },
    async accepted({ limitRequests, limitTokens, remainingRequests, remainingTokens }, id = '') {
      const told = [limitRequests, limitTokens, remainingRequests, remainingTokens];
      return (await acceptedScript.run(redis, all, [...told.map(orEmpty), id, RUNNING_LEASE_MS])) === 1;
    },
    async report(report, id = '') {
      const milliseconds = report.what === 'rate_limited' ? Math.ceil(report.retryAfterMs) : 0;
      const reply = await reportScript.run(redis, all, [report.what, milliseconds, id]);
      return (reply as '' | 'known' | 'new') || 'alone';
    },
    async resume() {
      return (await resumeScript.run(redis, all, [])) === 1;
    },
    async settle(id, used) {
      const values =
        used === undefined
          ? ['', '', '']
          : [tokenCount(used.inputTokens), tokenCount(used.outputTokens), orEmpty(used.durationMs)];
      await settleScript.run(redis, all, [id, ...values]);
    },
    async state() {
      const [state, inFlight, usage] = await Promise.all([
        redis.hgetall(keys.state),
        redis.zcard(keys.leases),
        redis.hmget(keys.usage, 'tokens', 'duration_ms'),
      ]);
      const number = (text: string | null | undefined): number | undefined =>
        text === null || text === undefined ? undefined : Number(text);
      return {
        requests: number(state['requests']) ?? 0,
        tokens: number(state['tokens']) ?? 0,
        inFlight,
        toldRequests: number(state['told_requests']),
        toldTokens: number(state['told_tokens']),
        meanTokens: number(usage[0]),
        meanDurationMs: number(usage[1]),
      };
    },
  };
}

function estimateOf(need: Need): [number, string] {
  return [tokenCount(need.inputTokens), need.class];
}

/** Other servers, and other BullMQ clients, may say anything; a script could not do its sums with it. */
function tokenCount(value: number): number {
  return Number.isFinite(value) ? Math.min(Math.max(0, Math.ceil(value)), MOST_TOKENS) : 0;
}

function orEmpty(value: number | undefined): number | '' {
  return value ?? '';
}
