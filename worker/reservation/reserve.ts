import type { FairQueue, NextJob } from '../../src/fair-queue/fair-queue.ts';
import {
  type Need,
  type Quota,
  type QuotaLimits,
  type QuotaWait,
  quotaJobId,
} from '../../src/quota/quota.ts';
import type { Candidate, TenantLimits, TenantStop } from './tenant-limits.ts';

/** A model of the upstream, and what may be sent to it. */
export interface Source {
  name: string;
  quota: Quota;
  limits: QuotaLimits;
}

export interface GrantingOptions {
  model: string;
  line: FairQueue;
  gate: TenantLimits;
  /** The upstream's model and its fallbacks. */
  sources: readonly Source[];
  /** Tenants of whose ended jobs this dispatcher wants to hear: those that it stops. Whoever hears of one takes it out. */
  stoppedHere: Set<string>;
}

export interface Granting {
  source: Source;
  started: number;
  /** Tenants that were stopped: others may go on. */
  stopped: number;
  /** Why nothing more is started; undefined: nothing stands against it. */
  wait: QuotaWait | undefined;
}

/**
 * Takes what these jobs need, and starts those that got it: of the first source that still has the model. The upstream's quota before the tenant's own
 * limits, which are only looked at before: what a tenant has is taken for jobs that start, and never keeps another dispatcher from starting one.
 *
 * A crash
 * - after anything was taken leaves it taken for some seconds; the jobs are in the line, and other dispatchers are told `held` until then;
 * - after the start leaves a granted job in BullMQ's hands. The worker that takes it renews what was taken for it; or puts it back when that has lapsed.
 *
 * Two who look at the same job: only one of them is granted its quota, and the line starts no job twice.
 */
export async function reserveAndStart(jobs: readonly NextJob[], options: GrantingOptions): Promise<Granting> {
  const { model, line, sources } = options;
  const needOf = (job: NextJob): Need => ({
    id: quotaJobId(model, job.id),
    inputTokens: inputOf(job),
    class: `${job.tenant}/${job.options.need?.effort ?? ''}`,
  });
  const source = await firstThere(sources);
  const tenants = await lookAtTenants(jobs, { ...options, source, needOf });
  const { answers, untilMs, wait } = await source.quota.reserve(tenants.allowed.map(needOf), source.limits, {
    evenIfGone: source === sources.at(-1),
  });
  const taken = tenants.allowed.filter((_, i) => typeof answers[i] === 'number');
  const { admitted, giveBack } = await tenants.admit(taken);
  const starts = await line.start(
    admitted.map(({ id, tenant }) => ({ id, tenant, reservedModel: source.name })),
  );
  const started = new Set(admitted.filter((_, i) => starts[i] === true));
  const unused = taken.filter((job) => !started.has(job)).map(({ id }) => quotaJobId(model, id));
  await Promise.all([source.quota.giveBack(unused, { untilMs }), giveBack(unused)]);
  return { source, started: started.size, stopped: await tenants.stop(started), wait };
}

/** The last one when none has the model: somebody has to find out whether it is there again. */
async function firstThere(sources: readonly Source[]): Promise<Source> {
  for (const [i, source] of sources.entries()) {
    if (i === sources.length - 1 || !(await source.quota.isGone())) return source;
  }
  throw new Error('expected a model to have an upstream');
}

interface Tenants {
  /** Those that their tenants' own limits would let through. */
  allowed: NextJob[];
  /** Takes their part of the tenants' limits. */
  admit(
    jobs: readonly NextJob[],
  ): Promise<{ admitted: NextJob[]; giveBack(ids: readonly string[]): Promise<void> }>;
  /** Stops those whose limits let no more through, now that these have been started. @returns how many. */
  stop(started: ReadonlySet<NextJob>): Promise<number>;
}

async function lookAtTenants(
  jobs: readonly NextJob[],
  {
    line,
    gate,
    stoppedHere,
    source: { name, quota },
    needOf,
  }: GrantingOptions & { source: Source; needOf: (job: NextJob) => Need },
): Promise<Tenants> {
  const limited = jobs.filter(({ tenant }) => gate.isLimited(tenant));
  const expected = await quota.expect(limited.map(needOf));
  const candidates = new Map<NextJob, Candidate>(
    limited.map((job, i) => {
      const { inputTokens = 0, outputTokens = 0 } = expected[i] ?? {};
      const serviceTier = job.options.need?.tier ?? null;
      return [job, { id: needOf(job).id, upstreamModel: name, inputTokens, outputTokens, serviceTier }];
    }),
  );
  const asked = new Set<string>();
  const stops = new Map<string, TenantStop>();

  const admit = async (some: readonly NextJob[], dry: boolean) => {
    const admissions = [];
    const refused = new Set<NextJob>();
    for (const tenant of new Set(some.filter((job) => candidates.has(job)).map((job) => job.tenant))) {
      // Before asking: what ends from here on is heard of.
      asked.add(tenant);
      stoppedHere.add(tenant);
      const own = some.filter((job) => job.tenant === tenant);
      const admission = await gate.admit(
        tenant,
        own.flatMap((job) => candidates.get(job) ?? []),
        { dry },
      );
      admissions.push(admission);
      for (const job of own.slice(admission.count)) refused.add(job);
      if (admission.stop !== undefined) stops.set(tenant, admission.stop);
    }
    return { admitted: some.filter((job) => !refused.has(job)), admissions };
  };

  const { admitted: allowed } = await admit(jobs, true);
  return {
    allowed,
    async admit(some) {
      const { admitted, admissions } = await admit(some, false);
      return {
        admitted,
        async giveBack(ids) {
          await Promise.all(admissions.map((admission) => admission.giveBack(ids)));
        },
      };
    },
    async stop(started) {
      let count = 0;
      for (const tenant of asked) {
        const stop = stops.get(tenant);
        // Or what it was allowed is still there: it waits for the quota, as all do.
        if (stop === undefined || allowed.some((job) => job.tenant === tenant && !started.has(job))) {
          stoppedHere.delete(tenant);
          continue;
        }
        count += 1;
        await line.stop(tenant, stop.untilMs, stop.reason);
        // One of its jobs has ended since.
        if (!stoppedHere.has(tenant)) await line.resume(tenant);
      }
      return count;
    },
  };
}

/** Of a job that another BullMQ client has added, by the length of all that it says. */
function inputOf({ options, dataBytes }: NextJob): number {
  return options.need?.input ?? dataBytes / 4;
}
