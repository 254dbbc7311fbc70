import type { Usage } from '../../src/job/view.ts';
import {
  type AdvertisedLimits,
  type Quota,
  type QuotaReport,
  type Quotas,
  quotaJobId,
  type RenewedJob,
} from '../../src/quota/quota.ts';
import type { TenantQuotas } from '../../src/quota/tenant-quota.ts';
import { type QuotaSignals, quotaReportOf } from './quota-signals.ts';
import { PostponedError, type QuotaJob, type Reservations } from './reservation.ts';
import type { TenantLimits } from './tenant-limits.ts';

/**
 * Phase is how far a job has come with its reservation.
 *
 * - `none`: not taken over yet.
 * - `reserved`: no create request was sent.
 * - `sent`: a create request was sent or is about to be sent, and its outcome is not known.
 * - `withheld`: it was about to be sent, and was not.
 * - `refused`: the upstream has refused the create request.
 * - `running`: the response runs at the upstream.
 */
type Phase = 'none' | 'reserved' | 'sent' | 'withheld' | 'refused' | 'running';

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
  /** The completion window of the response; undefined: `soonest`. */
  window: string | undefined;
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
  /** Returns the upstream model and its fallbacks. */
  upstreamModels: () => readonly string[];
  /** See WorkerOptions. Default 1. */
  windowScale?: number;
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
  windowScale = 1,
  signals,
  upstreamModels,
  onSignal,
  onRoom,
  onThrottled,
  onError,
}: ReservationsOptions): Reservations {
  const open = new Map<string, State>();

  const renewAll = async (): Promise<void> => {
    const byQuota = new Map<Quota, RenewedJob[]>();
    const byTenant = new Map<string, { id: string; running: boolean; isWindowed: boolean }[]>();
    for (const [id, { quota, phase, tenant, window }] of open) {
      if (quota === undefined) continue;
      const running = phase === 'running';
      listOf(byQuota, quota).push({ id, phase: running ? 'running' : 'reserved', window });
      if (tenantLimits.isLimited(tenant))
        listOf(byTenant, tenant).push({ id, running, isWindowed: window !== undefined });
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
  const renewTenant = async ({ tenant, window }: State, id: string, running: boolean): Promise<void> => {
    if (tenantLimits.isLimited(tenant))
      await tenantQuotas.renew(tenant, [{ id, running, isWindowed: window !== undefined }]);
  };

  const giveBack = async ({ id, tenant }: QuotaJob, why: 'withheld' | '' = ''): Promise<void> => {
    const quotaId = quotaJobId(model, id);
    await Promise.all(upstreamModels().map((name) => quotas.of(name).giveBack([quotaId], { why })));
    await settleTenant(tenant, quotaId);
  };

  const isLast = ({ upstreamModel }: State): boolean => upstreamModel === upstreamModels().at(-1);

  const report = async (id: string, state: State, what: QuotaReport): Promise<boolean> => {
    const reply = (await state.quota?.report(what, id)) ?? 'alone';
    if (reply === 'new') onSignal(state.upstreamModel, what);
    return reply !== 'alone';
  };

  const settleQuota = async (id: string, state: State, usage: Usage | null, isAnswered: boolean) => {
    const { quota, phase } = state;
    switch (phase) {
      case 'none':
        return;
      case 'reserved':
        return quota?.giveBack([id]);
      case 'refused':
      case 'withheld':
        return quota?.giveBack([id], { why: phase });
      case 'sent':
      case 'running': {
        const hasEndedPause = await quota?.settle(id, usedBy(usage, state, windowScale), isAnswered);
        if (hasEndedPause) onSignal(state.upstreamModel, { what: 'answered' });
        return;
      }
      default: {
        const never: never = phase;
        throw new Error(`unknown phase ${String(never)}`);
      }
    }
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
        window: undefined,
      };
      open.set(id, state);
      /** @throws {PostponedError} when the lease has ended. */
      const takeOver = async (name: string, phase: RenewedJob['phase']): Promise<'reserved' | 'sent'> => {
        state.upstreamModel = name;
        state.quota = quotas.of(name);
        state.phase = phase === 'sending' ? 'sent' : phase;
        const [[found = 'expired']] = await Promise.all([
          state.quota.renew([{ id, phase, window: state.window }]),
          renewTenant(state, id, phase === 'running'),
        ]);
        if (found === 'expired') throw new PostponedError();
        return found;
      };
      return {
        async renew(name, running) {
          const isOwn = state.phase === 'sent';
          const found = await takeOver(name, running ? 'running' : 'reserved');
          state.isSpent = found === 'sent' && !isOwn;
        },
        enterWindow(window, ageMs) {
          state.window = window;
          if (ageMs !== undefined) state.acceptedAt = performance.now() - ageMs;
        },
        windowRefused: (name) => quotas.of(name).refusesWindows(),
        isOpen: (name) => !signals.isPaused(quotas.of(name)),
        async takeOverToSend(name) {
          const found = await takeOver(name, 'sending');
          onRoom();
          if (found === 'sent') throw new PostponedError();
        },
        withheld() {
          state.phase = 'withheld';
        },
        giveBack: () => giveBack(job, state.phase === 'sent' ? 'withheld' : ''),
        assertUnspent() {
          const isPaused = state.quota !== undefined && signals.isPaused(state.quota);
          if (state.isSpent || isPaused) throw new PostponedError();
        },
        async sent() {
          state.phase = 'sent';
          onRoom();
          await state.quota?.renew([{ id, phase: 'sending' }]);
        },
        accepted(advertised) {
          state.phase = 'running';
          state.acceptedAt = performance.now();
          state.quota
            ?.accepted(advertised ?? NOTHING_ADVERTISED, id)
            .then((isOver) => isOver && onSignal(state.upstreamModel, { what: 'answered' }), onError);
          renewTenant(state, id, true).catch(onError);
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
          if (state.quota === undefined) return;
          settleQuota(id, state, usage, isAnswered).catch(onError);
          settleTenant(tenant, id).catch(onError);
        },
        close() {
          // A later attempt of the same job may have opened its own reservation.
          if (open.get(id) === state) open.delete(id);
          onRoom();
        },
      };
    },
    giveBack: (job) => giveBack(job),
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

/** The margins of a window are learned from its durations, on the windows' clock. */
function usedBy(usage: Usage | null, { acceptedAt, window }: State, windowScale: number) {
  if (usage === null) return undefined;
  const scale = window === undefined ? 1 : windowScale;
  return {
    inputTokens: usage.input_tokens,
    outputTokens: usage.output_tokens,
    durationMs: acceptedAt === undefined ? undefined : (performance.now() - acceptedAt) * scale,
  };
}
