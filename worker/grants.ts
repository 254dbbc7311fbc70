import type { Usage } from '../src/job.ts';
import type { Quota, QuotaReport, ToldLimits } from '../src/quota/quota.ts';
import type { Quotas } from '../src/quota/quotas.ts';
import type { TenantQuotas } from '../src/quota/tenant-quota.ts';
import type { Outcome } from './outcome.ts';
import { PostponedError } from './postponed-error.ts';
import type { QuotaNews } from './quota-news.ts';

/** What one attempt holds of the quotas: taken for it while it stood in the line. */
export interface Grant {
  /**
   * @param running whether its response runs already: then nothing has to be taken for it any more.
   * @throws {PostponedError} when what was taken for it has lapsed.
   */
  begin(upstreamModel: string, running: boolean): Promise<void>;
  /** Gives back whatever an earlier holder of the job, which may be dead, has taken for it: it is to have its turn again. */
  forget(): Promise<void>;
  /** @throws {PostponedError} when everybody has been told to wait since it was granted. */
  check(): void;
  /** A create is about to be sent. */
  sent(): Promise<void>;
  /** The upstream has taken it. */
  accepted(told: ToldLimits | undefined): void;
  /** The upstream has refused it: nothing of it was used. @returns whether everybody waits now, so that this one may too. */
  refused(report: QuotaReport | undefined): Promise<boolean>;
  /** The upstream has said something that concerns everybody, whatever became of the create. */
  report(report: QuotaReport | undefined): Promise<void>;
}

export interface Grants {
  /** Runs an attempt, and gives back what it does not need any more at its end. */
  hold(job: { id: string; tenant: string }, work: (grant: Grant) => Promise<Outcome>): Promise<Outcome>;
  close(): void;
}

type Phase = 'none' | 'held' | 'sent' | 'refused' | 'running';

interface Held {
  readonly tenant: string;
  quota: Quota | undefined;
  phase: Phase;
  acceptedAt: number | undefined;
}

const NOTHING_TOLD: ToldLimits = {
  limitRequests: undefined,
  limitTokens: undefined,
  remainingRequests: undefined,
  remainingTokens: undefined,
};

/** A few times in the life of a lease. */
const RENEW_EVERY_MS = 6000;

export interface GrantsOptions {
  quotas: Quotas;
  tenantQuotas: TenantQuotas;
  news: QuotaNews;
  /** The upstream's names of the model and of its fallbacks. */
  upstreamModels: readonly string[];
  /** Whether what the tenant holds is counted. */
  isLimited: (tenant: string) => boolean;
  /** A create was answered 429. */
  onThrottled: () => void;
  onError: (error: Error) => void;
}

export function createGrants({
  quotas,
  tenantQuotas,
  news,
  upstreamModels,
  isLimited,
  onThrottled,
  onError,
}: GrantsOptions): Grants {
  const held = new Map<string, Held>();

  const renew = async (): Promise<void> => {
    const byQuota = new Map<Quota, { id: string; running: boolean }[]>();
    const byTenant = new Map<string, string[]>();
    for (const [id, { quota, phase, tenant }] of held) {
      if (quota === undefined) continue;
      listOf(byQuota, quota).push({ id, running: phase === 'running' });
      if (isLimited(tenant)) listOf(byTenant, tenant).push(id);
    }
    await Promise.all([
      ...[...byQuota].map(([quota, jobs]) => quota.renew(jobs)),
      ...[...byTenant].map(([tenant, ids]) => tenantQuotas.renew(tenant, ids)),
    ]);
  };
  const timer = setInterval(() => renew().catch(onError), RENEW_EVERY_MS);

  const end = async (id: string, mine: Held, outcome: Outcome): Promise<void> => {
    const { quota, phase, tenant, acceptedAt } = mine;
    if (quota === undefined || outcome.kind === 'released' || outcome.kind === 'lost') return;
    const used = outcome.kind === 'completed' ? usedBy(outcome.summary.usage, acceptedAt) : undefined;
    const back = phase === 'held' || phase === 'refused';
    await Promise.all([
      back ? quota.giveBack([id], { refused: phase === 'refused' }) : quota.settle(id, used),
      isLimited(tenant) ? tenantQuotas.release(tenant, id) : undefined,
    ]);
  };

  return {
    async hold({ id, tenant }, work) {
      const mine: Held = { tenant, quota: undefined, phase: 'none', acceptedAt: undefined };
      held.set(id, mine);
      let hasFallback = false;
      const report = async (what: QuotaReport): Promise<boolean> =>
        (await mine.quota?.report(what, id)) ?? false;
      try {
        const outcome = await work({
          async begin(upstreamModel, running) {
            hasFallback = upstreamModels.indexOf(upstreamModel) < upstreamModels.length - 1;
            mine.quota = quotas.of(upstreamModel);
            mine.phase = running ? 'running' : 'held';
            const [gone] = await Promise.all([
              mine.quota.renew([{ id, running }]),
              running && isLimited(tenant) ? tenantQuotas.renew(tenant, [id]) : undefined,
            ]);
            if (gone.length > 0) throw new PostponedError({});
          },
          async forget() {
            await Promise.all(upstreamModels.map((name) => quotas.of(name).giveBack([id])));
            if (isLimited(tenant)) await tenantQuotas.release(tenant, id);
          },
          check() {
            if (mine.quota !== undefined && news.isStopped(mine.quota)) throw new PostponedError({});
          },
          async sent() {
            mine.phase = 'sent';
            await mine.quota?.sent(id);
          },
          accepted(told) {
            mine.phase = 'running';
            mine.acceptedAt = Date.now();
            mine.quota?.accepted(told ?? NOTHING_TOLD, id).catch(onError);
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
        end(id, mine, outcome).catch(onError);
        return outcome;
      } finally {
        if (held.get(id) === mine) held.delete(id);
      }
    },
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
