import type { Usage } from '../../src/job/view.ts';
import {
  type AdvertisedLimits,
  type Quota,
  type QuotaReport,
  type Quotas,
  quotaJobId,
} from '../../src/quota/quota.ts';
import type { TenantQuotas } from '../../src/quota/tenant-quota.ts';
import { type QuotaSignals, quotaReportOf } from './quota-signals.ts';
import type { TenantLimits } from './tenant-limits.ts';

/**
 * PostponedError sends a job back to the fair queue, uncharged. Either nothing may be sent right now, for a
 * reason that the job did not cause, or the lease of the job's reservation has ended.
 */
export class PostponedError extends Error {
  override readonly name = 'PostponedError';
  constructor(options?: ErrorOptions) {
    super('Nothing may be sent right now', options);
  }
}

/** Reservation is what one job has reserved of the quotas. A dispatcher made it before the job started. */
export interface Reservation {
  /**
   * Takes the reservation over from the dispatcher, or from an earlier attempt, and renews its lease.
   * @param running whether the response already runs: then the job can continue without a reservation.
   * @throws {PostponedError} when the lease has ended.
   */
  renew(upstreamModel: string, running: boolean): Promise<void>;
  /** Gives back all that was reserved for the job, as `Reservations.giveBack` does. */
  giveBack(): Promise<void>;
  /**
   * Checks that the reservation may still be used. Call it right before a create request.
   * @throws {PostponedError} when the upstream model was paused since the reservation was made, or when an
   * earlier attempt has sent a create request with it.
   */
  assertUnspent(): void;
  /** Records that a create request is about to be sent. */
  sent(): Promise<void>;
  /** Records that the upstream has accepted the create request. */
  accepted(advertised: AdvertisedLimits | undefined): void;
  /**
   * Records that the upstream has refused the create request, so that the request used no tokens.
   * @returns whether all workers wait now, so that the job may wait too.
   */
  refused(error: unknown): Promise<boolean>;
  /**
   * Records that a response failed after the upstream had accepted its create.
   * @returns the same as `refused`.
   */
  failedInside(error: unknown): Promise<boolean>;
  /**
   * Reports a problem that concerns all workers, whatever the create request's outcome is.
   * @returns whether all workers wait now, so that the job may wait too.
   */
  report(report: QuotaReport): Promise<boolean>;
}

/** OpenReservation is a reservation that a worker holds. The worker renews its lease until `close`. */
export interface OpenReservation extends Reservation {
  /**
   * Replaces the reservation by the job's usage, or gives it back when no create request was accepted. It
   * does not wait for Redis: a reservation that it could not settle ends with its lease.
   * @param usage null: unknown.
   * @param isAnswered whether the response has brought an answer.
   */
  settle(usage: Usage | null, isAnswered?: boolean): void;
  /**
   * Stops renewing. A reservation that was not settled stays available to the job's next worker until its
   * lease ends.
   */
  close(): void;
}

export interface Reservations {
  open(job: { id: string; tenant: string }): OpenReservation;
  /**
   * Gives back everything that any worker, even a dead one, has reserved for a job, for all upstream models.
   */
  giveBack(job: { id: string; tenant: string }): Promise<void>;
  /** Returns how many jobs of this worker, or of one tenant in it, have not sent their create request. */
  unsent(tenant?: string): number;
  close(): void;
}

/**
 * Phase is how far a job has come with its reservation.
 *
 * - `none`: not taken over yet.
 * - `reserved`: no create request was sent.
 * - `sent`: a create request was sent, and its outcome is not known.
 * - `refused`: the upstream has refused the create request.
 * - `running`: the response runs at the upstream.
 */
type Phase = 'none' | 'reserved' | 'sent' | 'refused' | 'running';

/** The phases of jobs that have a reservation, or will take it over in a moment, and have sent nothing. */
const UNSENT: readonly Phase[] = ['none', 'reserved'];

interface State {
  readonly tenant: string;
  upstreamModel: string;
  quota: Quota | undefined;
  phase: Phase;
  /** An earlier worker has sent a create request with the reservation, and its outcome is not known. */
  isSpent: boolean;
  acceptedAt: number | undefined;
}

const NOTHING_ADVERTISED: AdvertisedLimits = {
  limitRequests: undefined,
  limitTokens: undefined,
  remainingRequests: undefined,
  remainingTokens: undefined,
};

/** A quarter of a lease. */
const RENEW_EVERY_MS = 6000;

export interface ReservationsOptions {
  model: string;
  quotas: Quotas;
  tenantQuotas: TenantQuotas;
  tenantLimits: Pick<TenantLimits, 'isLimited'>;
  signals: QuotaSignals;
  /** The upstream model and its fallbacks. */
  upstreamModels: readonly string[];
  /** Called when a pause of an upstream model begins or ends, in the worker that reported it. */
  onSignal: (upstreamModel: string, signal: QuotaReport | { what: 'answered' }) => void;
  /** Called when a job has sent its create request, or has ended. */
  onRoom: () => void;
  /** Called when a create request was answered with 429. */
  onThrottled: () => void;
  onError: (error: Error) => void;
}

export function createReservations({
  model,
  quotas,
  tenantQuotas,
  tenantLimits,
  signals,
  upstreamModels,
  onSignal,
  onRoom,
  onThrottled,
  onError,
}: ReservationsOptions): Reservations {
  const open = new Map<string, State>();

  const renewAll = async (): Promise<void> => {
    const byQuota = new Map<Quota, { id: string; running: boolean }[]>();
    const byTenant = new Map<string, { id: string; running: boolean }[]>();
    for (const [id, { quota, phase, tenant }] of open) {
      if (quota === undefined) continue;
      const job = { id, running: phase === 'running' };
      listOf(byQuota, quota).push(job);
      if (tenantLimits.isLimited(tenant)) listOf(byTenant, tenant).push(job);
    }
    await Promise.all([
      ...[...byQuota].map(([quota, jobs]) => quota.renew(jobs)),
      ...[...byTenant].map(([tenant, jobs]) => tenantQuotas.renew(tenant, jobs)),
    ]);
  };
  const timer = setInterval(() => renewAll().catch(onError), RENEW_EVERY_MS);

  const settleTenant = async (tenant: string, id: string): Promise<void> => {
    if (tenantLimits.isLimited(tenant)) await tenantQuotas.settle(tenant, id);
  };
  const renewTenant = async (tenant: string, id: string, running: boolean): Promise<void> => {
    if (tenantLimits.isLimited(tenant)) await tenantQuotas.renew(tenant, [{ id, running }]);
  };

  const giveBack: Reservations['giveBack'] = async ({ id, tenant }) => {
    const quotaId = quotaJobId(model, id);
    await Promise.all(upstreamModels.map((name) => quotas.of(name).giveBack([quotaId])));
    await settleTenant(tenant, quotaId);
  };

  const isLast = ({ upstreamModel }: State): boolean => upstreamModel === upstreamModels.at(-1);

  const report = async (id: string, state: State, what: QuotaReport): Promise<boolean> => {
    const reply = (await state.quota?.report(what, id)) ?? 'alone';
    if (reply === 'new') onSignal(state.upstreamModel, what);
    return reply !== 'alone';
  };

  const settle = async (id: string, state: State, usage: Usage | null): Promise<void> => {
    const { quota, phase, tenant, acceptedAt } = state;
    if (quota === undefined) return;
    const isUnused = phase === 'reserved' || phase === 'refused';
    await Promise.all([
      isUnused
        ? quota.giveBack([id], { refused: phase === 'refused' })
        : quota.settle(id, usedBy(usage, acceptedAt)),
      settleTenant(tenant, id),
    ]);
  };

  return {
    open(job) {
      const id = quotaJobId(model, job.id);
      const { tenant } = job;
      const state: State = {
        tenant,
        upstreamModel: '',
        quota: undefined,
        phase: 'none',
        isSpent: false,
        acceptedAt: undefined,
      };
      open.set(id, state);
      return {
        async renew(name, running) {
          state.upstreamModel = name;
          state.quota = quotas.of(name);
          state.phase = running ? 'running' : 'reserved';
          const [[found]] = await Promise.all([
            state.quota.renew([{ id, running }]),
            renewTenant(tenant, id, running),
          ]);
          if (found === 'expired') throw new PostponedError();
          state.isSpent = found === 'sent';
        },
        giveBack: () => giveBack(job),
        assertUnspent() {
          const isPaused = state.quota !== undefined && signals.isPaused(state.quota);
          if (state.isSpent || isPaused) throw new PostponedError();
        },
        async sent() {
          state.phase = 'sent';
          onRoom();
          await state.quota?.sent(id);
        },
        accepted(advertised) {
          state.phase = 'running';
          state.acceptedAt = performance.now();
          state.quota
            ?.accepted(advertised ?? NOTHING_ADVERTISED, id)
            .then((isOver) => isOver && onSignal(state.upstreamModel, { what: 'answered' }), onError);
          renewTenant(tenant, id, true).catch(onError);
        },
        async refused(error) {
          state.phase = 'refused';
          const what = quotaReportOf(error, { isLast: isLast(state) });
          if (what?.what === 'rate_limited') onThrottled();
          return what === undefined ? false : report(id, state, what);
        },
        async failedInside(error) {
          const what = quotaReportOf(error, { inside: true, isLast: isLast(state) });
          return what === undefined ? false : report(id, state, what);
        },
        report: (what) => report(id, state, what),
        settle(usage, isAnswered = false) {
          const answered = isAnswered ? state.quota?.answered(id) : undefined;
          answered?.then((isOver) => isOver && onSignal(state.upstreamModel, { what: 'answered' }), onError);
          settle(id, state, usage).catch(onError);
        },
        close() {
          // A later attempt of the same job may have opened its own reservation.
          if (open.get(id) === state) open.delete(id);
          onRoom();
        },
      };
    },
    giveBack,
    unsent: (tenant) =>
      [...open.values()].filter(
        (state) => UNSENT.includes(state.phase) && (tenant === undefined || state.tenant === tenant),
      ).length,
    close: () => clearInterval(timer),
  };
}

function listOf<Key, Item>(lists: Map<Key, Item[]>, key: Key): Item[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}

function usedBy(usage: Usage | null, acceptedAt: number | undefined) {
  if (usage === null) return undefined;
  return {
    inputTokens: usage.input_tokens,
    outputTokens: usage.output_tokens,
    durationMs: acceptedAt === undefined ? undefined : performance.now() - acceptedAt,
  };
}
