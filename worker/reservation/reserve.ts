import type { FairQueue, NextJob, QueueLook } from '../../src/fair-queue/fair-queue.ts';
import { discountOf, type WindowDiscounts, windowNamed } from '../../src/job/completion-window.ts';
import {
  type Need,
  type Quota,
  type QuotaLimits,
  type QuotaWait,
  quotaJobId,
  type ReserveReply,
} from '../../src/quota/quota.ts';
import type { WindowChoice } from '../windows/choice.ts';
import type { TenantJob, TenantLimits, TenantPause } from './tenant-limits.ts';

/** Source is an upstream model that can answer the jobs of a model, with its quota and limits. */
export interface Source {
  /** The name of the model at the upstream. */
  name: string;
  quota: Quota;
  limits: QuotaLimits;
  /** Which completion windows jobs get there. */
  windows: WindowChoice;
}

export interface ReserveOptions {
  model: string;
  fairQueue: FairQueue;
  tenantLimits: TenantLimits;
  /** The discounts of the model's completion windows. */
  discounts: WindowDiscounts;
  /** The upstream model and its fallbacks. */
  sources: readonly Source[];
  /**
   * Tenants that this dispatcher has paused. When a job of a tenant ends, the dispatcher's listener removes
   * the tenant from this set and resumes it.
   */
  ownPausedTenants: Set<string>;
  /** How many jobs may start. Default: all. */
  most?: number;
  /**
   * At how many jobs to look in the step that starts these, if nothing prevents further starts. Default:
   * none.
   */
  lookAt?: number;
}

/** Round is the result of one round of a dispatcher. */
export interface Round {
  source: Source;
  started: number;
  /** How many tenants were paused. Jobs of other tenants may still start. */
  paused: number;
  /** Why no further job starts; undefined: nothing prevents it. */
  wait: QuotaWait | undefined;
  /** Whether only large jobs have to wait, so that smaller ones may still start. */
  onlyLarge: boolean;
  /** The queue after the starts; undefined: it was not looked at. */
  look: QueueLook | undefined;
}

/**
 * reserveAndStart reserves what the jobs need from the first source that has the model, and starts the jobs
 * for which there was enough.
 *
 * The limits of a tenant are checked before the upstream's quota is reserved, and are reserved after that.
 * Therefore only jobs that start use up the limits of their tenant, and no dispatcher keeps another one from
 * starting a job.
 *
 * A crash
 * - after a reservation leaves the reservation for some seconds. The jobs are in the fair queue; other
 *   dispatchers get the answer `taken` until the lease ends.
 * - after the start leaves a started job to BullMQ. The worker that takes the job renews the reservation, or
 *   puts the job back when the lease has ended.
 *
 * When two dispatchers have the same job, only one of them gets the reservation, and the fair queue starts no
 * job twice.
 */
export async function reserveAndStart(jobs: readonly NextJob[], options: ReserveOptions): Promise<Round> {
  const { model, fairQueue, sources } = options;
  let needs = new Map<NextJob, Need>();
  const needsOf = (some: readonly NextJob[]): Need[] => some.flatMap((job) => needs.get(job) ?? []);
  const idsOf = (some: readonly NextJob[]): string[] => needsOf(some).map(({ id }) => id);

  const { source, tenants, reply } = await reserveFromFirst(sources, async (each, evenIfGone) => {
    needs = new Map(jobs.map((job) => [job, needOf(model, job, each.windows)]));
    const tenantRound = await reserveOfTenants(jobs, { ...options, source: each, needsOf });
    const allowed = needsOf(tenantRound.allowed);
    const most = options.most ?? jobs.length;
    const reserved = await each.quota.reserve(allowed, each.limits, { evenIfGone, most });
    return { source: each, tenants: tenantRound, reply: reserved };
  });
  const { answers, untilMs, wait, onlyLarge, lateness } = reply;
  if (lateness !== undefined) source.windows.learn(lateness);
  // The upstream may have refused windows: the jobs are then reserved, and sent, as ordinary ones.
  for (const [i, job] of tenants.allowed.entries()) {
    const need = needs.get(job);
    if (need?.window !== undefined && reply.windowed[i] !== true) need.window = undefined;
  }
  const costs = new Map(tenants.allowed.map((job, i) => [job, reply.costs[i]]));
  const tokens = new Map(tenants.allowed.map((job, i) => [job, answers[i]]));
  const reserved = tenants.allowed.filter((job) => typeof tokens.get(job) === 'number');
  const { admitted, giveBack } = await tenants.admit(reserved);
  const starting = admitted.map((job) => ({
    ...{ id: job.id, tenant: job.tenant, reservedModel: source.name },
    cost: costs.get(job),
    reservedTokens: Number(tokens.get(job)),
    completionWindow: recordedWindow(job, needs.get(job)),
  }));
  const lookAt = wait === undefined && admitted.length === reserved.length ? (options.lookAt ?? 0) : 0;
  const starts =
    starting.length === 0
      ? { started: [], look: undefined }
      : await fairQueue.startThenNext(starting, lookAt);
  const started = new Set(admitted.filter((_, i) => starts.started[i] === true));
  const unused = idsOf(reserved.filter((job) => !started.has(job)));
  await Promise.all([source.quota.giveBack(unused, { untilMs }), giveBack(unused)]);
  const paused = await tenants.pause(started);
  // A look from before a pause has jobs of the paused tenant.
  const look = paused === 0 ? starts.look : undefined;
  return { source, started: started.size, paused, wait, onlyLarge, look };
}

interface Attempted {
  source: Source;
  tenants: TenantRound;
  reply: ReserveReply;
}

/**
 * Reserves from the first source that has the model. The last source is used even if it does not: one job
 * must find out whether the model is back.
 */
async function reserveFromFirst(
  sources: readonly Source[],
  reserve: (source: Source, evenIfGone: boolean) => Promise<Attempted>,
): Promise<Attempted> {
  for (const source of sources) {
    const isLast = source === sources.at(-1);
    const attempted = await reserve(source, isLast);
    if (isLast || attempted.reply.wait?.reason !== 'gone') return attempted;
    attempted.tenants.forget();
  }
  throw new Error('expected a model to have an upstream');
}

interface TenantRound {
  /** Jobs that the limits of their tenants allow. */
  allowed: NextJob[];
  /**
   * Reserves what these jobs need of their tenants' limits. The upstream's quota is already reserved for
   * them.
   */
  admit(
    jobs: readonly NextJob[],
  ): Promise<{ admitted: NextJob[]; giveBack(ids: readonly string[]): Promise<void> }>;
  /**
   * Pauses the tenants whose limits allow no further job after the started ones.
   * @returns how many were paused.
   */
  pause(started: ReadonlySet<NextJob>): Promise<number>;
  /** Ends a round in which nothing was reserved. */
  forget(): void;
}

async function reserveOfTenants(
  jobs: readonly NextJob[],
  {
    fairQueue,
    tenantLimits,
    ownPausedTenants,
    discounts,
    source: { name, quota },
    needsOf,
  }: ReserveOptions & { source: Source; needsOf: (jobs: readonly NextJob[]) => Need[] },
): Promise<TenantRound> {
  const limited = jobs.filter(({ tenant }) => tenantLimits.isLimited(tenant));
  const expected = await quota.expect(needsOf(limited));
  const usageOf = new Map(limited.map((job, i) => [job, expected[i]]));
  /** The window of a job is known for certain only once the quota is reserved. */
  const tenantJobOf = (job: NextJob): TenantJob => {
    const [need] = needsOf([job]);
    const { inputTokens = 0, outputTokens = 0 } = usageOf.get(job) ?? {};
    const serviceTier = job.options.need?.tier ?? null;
    const window = need?.window;
    const discount = discountOf(windowNamed(window?.name), discounts);
    return {
      id: need?.id ?? '',
      isWindowed: window !== undefined,
      expected: { upstreamModel: name, inputTokens, outputTokens, serviceTier, discount },
    };
  };
  const looked = new Set<string>();
  const pauses = new Map<string, TenantPause>();

  const reserve = async (some: readonly NextJob[], dry: boolean) => {
    const reservations = [];
    const refused = new Set<NextJob>();
    for (const tenant of new Set(some.filter((job) => usageOf.has(job)).map((job) => job.tenant))) {
      // The tenant is noted before its limits are read, so that no job's end is missed from here on.
      looked.add(tenant);
      ownPausedTenants.add(tenant);
      const own = some.filter((job) => job.tenant === tenant);
      const reservation = await tenantLimits.reserve(tenant, own.map(tenantJobOf), { dry });
      reservations.push(reservation);
      for (const job of own.slice(reservation.count)) refused.add(job);
      if (reservation.pause !== undefined) pauses.set(tenant, reservation.pause);
    }
    return { admitted: some.filter((job) => !refused.has(job)), reservations };
  };

  const { admitted: allowed } = await reserve(jobs, true);
  return {
    allowed,
    async admit(some) {
      const { admitted, reservations } = await reserve(some, false);
      return {
        admitted,
        async giveBack(ids) {
          await Promise.all(reservations.map((reservation) => reservation.giveBack(ids)));
        },
      };
    },
    async pause(started) {
      let count = 0;
      for (const tenant of looked) {
        const pause = pauses.get(tenant);
        // A tenant is not paused while one of its allowed jobs has not started: that job waits for the quota,
        // like the jobs of all other tenants.
        if (pause === undefined || allowed.some((job) => job.tenant === tenant && !started.has(job))) {
          ownPausedTenants.delete(tenant);
          continue;
        }
        count += 1;
        await fairQueue.pauseTenant(tenant, pause.untilMs, pause.reason);
        // The tenant is resumed at once if one of its jobs has ended since.
        if (!ownPausedTenants.has(tenant)) await fairQueue.resumeTenant(tenant);
      }
      return count;
    },
    forget() {
      for (const tenant of looked) ownPausedTenants.delete(tenant);
    },
  };
}

/** The input of another BullMQ client's job is estimated from the length of its data. */
function needOf(
  model: string,
  { id, tenant, options, dataBytes, tag, weight }: NextJob,
  windows: WindowChoice,
): Need {
  return {
    id: quotaJobId(model, id),
    inputTokens: options.need?.input ?? dataBytes / 4,
    class: `${tenant}/${options.need?.effort ?? ''}`,
    turn: { tenant, tag, weight },
    window: options.need === undefined ? undefined : windows.choose(options.need),
  };
}

/** Returns what the record says of the window; undefined: nothing, for a job that can wait for no window. */
function recordedWindow({ options: { need } }: NextJob, reserved: Need | undefined): string | undefined {
  if (need?.by === undefined && need?.window === undefined) return undefined;
  return reserved?.window?.name ?? 'soonest';
}
