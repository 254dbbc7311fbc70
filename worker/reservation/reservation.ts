import type { Usage } from '../../src/job/view.ts';
import type { Quotas } from '../../src/quota/quota.ts';
import { type AdvertisedLimits, type Quota, type QuotaReport, quotaJobId } from '../../src/quota/quota.ts';
import type { TenantQuotas } from '../../src/quota/tenant-quota.ts';
import type { Outcome } from '../attempt/outcome.ts';
import { PostponedError } from './postponed-error.ts';
import type { QuotaSignals } from './quota-signals.ts';

/** What one attempt holds of the quotas: taken for it while it stood in the line. */
export interface Reservation {
  /**
   * @param running whether its response runs already: then nothing has to be taken for it any more.
   * @throws {PostponedError} when what was taken for it has lapsed.
   */
  begin(upstreamModel: string, running: boolean): Promise<void>;
  /** As `Reservations` has it: the job needs nothing any more, or is to have its turn again. */
  forget(): Promise<void>;
  /**
   * @throws {PostponedError} when everybody has been told to wait since it was granted, or an earlier attempt
   * has sent a create with it.
   */
  check(): void;
  /** A create is about to be sent. */
  sent(): Promise<void>;
  /** The upstream has taken it. */
  accepted(told: AdvertisedLimits | undefined): void;
  /**
   * The upstream has refused it: nothing of it was used. @returns whether everybody waits now, so that this
   * one may too.
   */
  refused(report: QuotaReport | undefined): Promise<boolean>;
  /** The upstream has said something that concerns everybody, whatever became of the create. */
  report(report: QuotaReport | undefined): Promise<void>;
}

export interface Reservations {
  /** Runs an attempt, and gives back what it does not need any more at its end. */
  hold(job: { id: string; tenant: string }, work: (grant: Reservation) => Promise<Outcome>): Promise<Outcome>;
  /** Gives back whatever any holder of the job, which may be dead, has taken for it. */
  forget(job: { id: string; tenant: string }): Promise<void>;
  /** How many wait to be sent. */
  unsent(): number;
  close(): void;
}

type Phase = 'none' | 'held' | 'sent' | 'refused' | 'running';

interface Held {
  readonly tenant: string;
  quota: Quota | undefined;
  phase: Phase;
  /** A worker before this one has sent a create with it, and what came of it is not known. */
  isSpent: boolean;
  acceptedAt: number | undefined;
}

const NOTHING_TOLD: AdvertisedLimits = {
  limitRequests: undefined,
  limitTokens: undefined,
  remainingRequests: undefined,
  remainingTokens: undefined,
};

/** A few times in the life of a lease. */
const RENEW_EVERY_MS = 6000;

export interface ReservationsOptions {
  model: string;
  quotas: Quotas;
  tenantQuotas: TenantQuotas;
  news: QuotaSignals;
  /** The upstream's names of the model and of its fallbacks. */
  upstreamModels: readonly string[];
  /** Whether what the tenant holds is counted. */
  isLimited: (tenant: string) => boolean;
  /**
   * What has just begun, or is over, for everybody who sends to this upstream model; told to the one that has
   * found out.
   */
  onNews: (upstreamModel: string, news: QuotaReport | { what: 'answered' }) => void;
  /** One of them was sent, or has ended. */
  onRoom: () => void;
  /** A create was answered 429. */
  onThrottled: () => void;
  onError: (error: Error) => void;
}

export function createReservations({
  model,
  quotas,
  tenantQuotas,
  news,
  upstreamModels,
  isLimited,
  onNews,
  onRoom,
  onThrottled,
  onError,
}: ReservationsOptions): Reservations {
  const held = new Map<string, Held>();

  const renew = async (): Promise<void> => {
    const byQuota = new Map<Quota, { id: string; running: boolean }[]>();
    const byTenant = new Map<string, { id: string; running: boolean }[]>();
    for (const [holder, { quota, phase, tenant }] of held) {
      if (quota === undefined) continue;
      const job = { id: holder, running: phase === 'running' };
      listOf(byQuota, quota).push(job);
      if (isLimited(tenant)) listOf(byTenant, tenant).push(job);
    }
    await Promise.all([
      ...[...byQuota].map(([quota, jobs]) => quota.renew(jobs)),
      ...[...byTenant].map(([tenant, jobs]) => tenantQuotas.renew(tenant, jobs)),
    ]);
  };
  const timer = setInterval(() => renew().catch(onError), RENEW_EVERY_MS);

  const forget: Reservations['forget'] = async ({ id, tenant }) => {
    const holder = quotaJobId(model, id);
    await Promise.all(upstreamModels.map((name) => quotas.of(name).giveBack([holder])));
    if (isLimited(tenant)) await tenantQuotas.settle(tenant, holder);
  };

  const end = async (holder: string, mine: Held, outcome: Outcome): Promise<void> => {
    const { quota, phase, tenant, acceptedAt } = mine;
    if (quota === undefined || outcome.kind === 'released' || outcome.kind === 'lost') return;
    const used = outcome.kind === 'completed' ? usedBy(outcome.summary.usage, acceptedAt) : undefined;
    const back = phase === 'held' || phase === 'refused';
    await Promise.all([
      back ? quota.giveBack([holder], { refused: phase === 'refused' }) : quota.settle(holder, used),
      isLimited(tenant) ? tenantQuotas.settle(tenant, holder) : undefined,
    ]);
  };

  return {
    async hold({ id, tenant }, work) {
      const holder = quotaJobId(model, id);
      const mine: Held = { tenant, quota: undefined, phase: 'none', isSpent: false, acceptedAt: undefined };
      held.set(holder, mine);
      let hasFallback = false;
      let upstreamModel = '';
      const report = async (what: QuotaReport): Promise<boolean> => {
        const reply = (await mine.quota?.report(what, holder)) ?? 'alone';
        if (reply === 'new') onNews(upstreamModel, what);
        return reply !== 'alone';
      };
      try {
        const outcome = await work({
          async begin(name, running) {
            upstreamModel = name;
            hasFallback = upstreamModels.indexOf(name) < upstreamModels.length - 1;
            mine.quota = quotas.of(name);
            mine.phase = running ? 'running' : 'held';
            const [[state]] = await Promise.all([
              mine.quota.renew([{ id: holder, running }]),
              isLimited(tenant) ? tenantQuotas.renew(tenant, [{ id: holder, running }]) : undefined,
            ]);
            if (state === 'expired') throw new PostponedError();
            mine.isSpent = state === 'sent';
          },
          forget: () => forget({ id, tenant }),
          check() {
            if (mine.isSpent || (mine.quota !== undefined && news.isStopped(mine.quota)))
              throw new PostponedError();
          },
          async sent() {
            mine.phase = 'sent';
            onRoom();
            await mine.quota?.sent(holder);
          },
          accepted(told) {
            mine.phase = 'running';
            mine.acceptedAt = Date.now();
            mine.quota
              ?.accepted(told ?? NOTHING_TOLD, holder)
              .then((isOver) => isOver && onNews(upstreamModel, { what: 'answered' }), onError);
            if (isLimited(tenant)) tenantQuotas.renew(tenant, [{ id: holder, running: true }]).catch(onError);
          },
          async refused(what) {
            mine.phase = 'refused';
            if (what?.what === 'rate_limited') onThrottled();
            if (what === undefined) return false;
            return (await report(what)) && (what.what !== 'gone' || hasFallback);
          },
          async report(what) {
            if (what !== undefined) await report(what);
          },
        });
        // Nobody waits for it: what is not given back ends with its lease.
        end(holder, mine, outcome).catch(onError);
        return outcome;
      } finally {
        if (held.get(holder) === mine) held.delete(holder);
        onRoom();
      }
    },
    forget,
    unsent: () => [...held.values()].filter(({ phase }) => phase === 'held').length,
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
    durationMs: acceptedAt === undefined ? undefined : Date.now() - acceptedAt,
  };
}
