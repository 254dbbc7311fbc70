import type { RedisClient } from '../redis/connection.ts';
import { allOf, quotaKeysOf } from './quota-keys.ts';
import { giveBackScript, renewScript, sentScript } from './scripts/lease.ts';
import { acceptedScript, reportScript } from './scripts/report.ts';
import { settleScript } from './scripts/settle.ts';
import { takeScript } from './scripts/take.ts';

/** How long a dead worker holds what it had: longer than a job takes to be recovered, shorter than anybody would wait. */
export const LEASE_MS = 24_000;
/** How long a job may be neither in the line nor started: the next ones wait behind it when its dispatcher dies there. */
const STARTING_MS = 4000;

/** `undefined`: what the upstream tells of itself, or none. */
export interface QuotaLimits {
  /** In any 60 seconds. */
  requestsPerMinute: number | undefined;
  /** In any 60 seconds, input and output. */
  tokensPerMinute: number | undefined;
  maxInFlight: number | undefined;
}

/** What a job is expected to need. */
export interface Need {
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
  /** Why the rest has to wait, and for how long at least. undefined: there was enough for all. */
  wait: { reason: QuotaReason; milliseconds: number } | undefined;
}

/** What a create has met. */
export type QuotaReport =
  | { what: 'rate_limited'; retryAfterMs: number }
  | { what: 'quota_exhausted' | 'unreachable' | 'failed' | 'gone' | 'resumed' };

/** What the upstream says of its own limits with each answer; undefined: nothing. */
export interface ToldLimits {
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
  blockedUntil: number | undefined;
  pausedUntil: number | undefined;
  openUntil: number | undefined;
  goneUntil: number | undefined;
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
   * Holds what it takes for some seconds only: whoever starts the jobs renews it.
   * @param options.evenIfGone asks an upstream that has said that it has no such model.
   */
  take(needs: readonly Need[], limits: QuotaLimits, options?: { evenIfGone?: boolean }): Promise<Taken>;
  /** @param options.refused the upstream has refused the creates: their requests stay counted. */
  giveBack(ids: readonly string[], options?: { refused?: boolean }): Promise<void>;
  /**
   * What these jobs hold is theirs for another lease; `running`: their response runs at the upstream.
   * @returns the ids of those that hold nothing any more.
   */
  renew(jobs: readonly { id: string; running: boolean }[]): Promise<string[]>;
  /** A create is on its way: what was reserved for it is spent. */
  sent(id: string): Promise<void>;
  /** @param id of the job whose create it was. */
  accepted(told: ToldLimits, id?: string): Promise<void>;
  /** @param id of the job whose create it was. @returns whether everybody waits now. */
  report(report: QuotaReport, id?: string): Promise<boolean>;
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
        ...needs.flatMap((need) => [need.id, Math.max(0, Math.ceil(need.inputTokens)), need.class]),
      ]);
      const [reason, waitMs, , ...answers] = reply as [QuotaReason | '', number, number, ...string[]];
      return {
        answers: answers.map((answer) => (answer === '-1' ? 'held' : Number(answer))),
        wait: reason === '' ? undefined : { reason, milliseconds: Math.max(1, waitMs) },
      };
    },
    async giveBack(ids, { refused = false } = {}) {
      if (ids.length > 0) await giveBackScript.run(redis, all, [refused ? '1' : '', ...ids]);
    },
    async renew(jobs) {
      if (jobs.length === 0) return [];
      const values = jobs.flatMap(({ id, running }) => [id, running ? '1' : '']);
      return (await renewScript.run(redis, all, [LEASE_MS, ...values])) as string[];
    },
    async sent(id) {
      await sentScript.run(redis, all, [id]);
    },
    async accepted({ limitRequests, limitTokens, remainingRequests, remainingTokens }, id = '') {
      const told = [limitRequests, limitTokens, remainingRequests, remainingTokens];
      await acceptedScript.run(redis, all, [...told.map(orEmpty), id]);
    },
    async report(report, id = '') {
      const milliseconds = report.what === 'rate_limited' ? Math.ceil(report.retryAfterMs) : 0;
      return (await reportScript.run(redis, all, [report.what, milliseconds, id])) === 1;
    },
    async settle(id, used) {
      const values =
        used === undefined ? ['', '', ''] : [used.inputTokens, used.outputTokens, orEmpty(used.durationMs)];
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
        blockedUntil: number(state['blocked_until']),
        pausedUntil: number(state['probe_at']),
        openUntil: number(state['open_until']),
        goneUntil: number(state['gone_until']),
        toldRequests: number(state['told_requests']),
        toldTokens: number(state['told_tokens']),
        meanTokens: number(usage[0]),
        meanDurationMs: number(usage[1]),
      };
    },
  };
}

function orEmpty(value: number | undefined): number | '' {
  return value ?? '';
}
