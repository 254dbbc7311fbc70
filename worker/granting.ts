import type { Line, NextJob } from '../src/queue/line.ts';
import type { Need, Quota, QuotaLimits, Taken } from '../src/quota/quota.ts';
import type { TenantGate } from './tenant-gate.ts';

/** A model of the upstream, and what may be sent to it. */
export interface Source {
  name: string;
  quota: Quota;
  limits: QuotaLimits;
}

/** What a job is expected to answer before any has: a budget that knows nothing yet must not start all at once. */
const UNKNOWN_TOKENS = 2000;

export interface Granting {
  source: Source;
  started: number;
  /** Tenants that were stopped: others may go on. */
  stopped: readonly string[];
  /** Why nothing more is started; undefined: nothing stands against it. */
  wait: Taken['wait'];
}

/**
 * Takes what these jobs need, and starts those that got it: of the first source that still has the model.
 *
 * A crash
 * - after the quota was taken leaves it taken for some seconds; the jobs are in the line, and other dispatchers are told `held` until then;
 * - after the start leaves a granted job in BullMQ's hands, which any worker takes.
 *
 * Two who look at the same job: only one of them is granted its quota, and the line starts no job twice.
 */
export async function grantAndStart(
  jobs: readonly NextJob[],
  { line, gate, sources }: { line: Line; gate: TenantGate; sources: readonly Source[] },
): Promise<Granting> {
  for (const [i, source] of sources.entries()) {
    const isLast = i === sources.length - 1;
    const { admitted, stopped } = await admit(jobs, line, gate, source);
    const { answers, wait } = await source.quota.take(admitted.map(needOf), source.limits, {
      evenIfGone: isLast,
    });
    const taken = admitted.filter((_, j) => typeof answers[j] === 'number');
    const started = await line.start(taken.map(({ id, tenant }) => ({ id, tenant, grant: source.name })));
    const notStarted = taken.filter((_, j) => started[j] !== true);
    const notTaken = admitted.filter((_, j) => answers[j] === undefined);
    await Promise.all([
      source.quota.renew(taken.map(({ id }) => ({ id, running: false }))),
      source.quota.giveBack(notStarted.map(({ id }) => id)),
    ]);
    await Promise.all(
      [...notStarted, ...notTaken].filter(({ tenant }) => gate.isLimited(tenant)).map(gate.release),
    );
    if (wait?.reason === 'gone' && !isLast) continue;
    return { source, started: taken.length - notStarted.length, stopped, wait };
  }
  throw new Error('expected a model to have an upstream');
}

/** Those that their tenants' own limits let through. The first of a tenant's that they do not stops the tenant. */
async function admit(
  jobs: readonly NextJob[],
  line: Line,
  gate: TenantGate,
  { name, quota }: Source,
): Promise<{ admitted: NextJob[]; stopped: string[] }> {
  if (!jobs.some(({ tenant }) => gate.isLimited(tenant))) return { admitted: [...jobs], stopped: [] };
  const { meanTokens = UNKNOWN_TOKENS } = await quota.state();
  const admitted: NextJob[] = [];
  const stopped = new Set<string>();
  for (const job of jobs) {
    if (stopped.has(job.tenant)) continue;
    const expected = { upstreamModel: name, input: inputOf(job), output: meanTokens };
    const stop = gate.isLimited(job.tenant) ? await gate.take(job, expected) : undefined;
    if (stop === undefined) admitted.push(job);
    else {
      stopped.add(job.tenant);
      await line.stop(job.tenant, stop.untilMs, stop.reason);
    }
  }
  return { admitted, stopped: [...stopped] };
}

function needOf(job: NextJob): Need {
  return { id: job.id, inputTokens: inputOf(job), class: `${job.tenant}/${job.options.need?.effort ?? ''}` };
}

/** Of a job that another BullMQ client has added, by the length of all that it says. */
function inputOf({ options, dataBytes }: NextJob): number {
  return options.need?.input ?? dataBytes / 4;
}
