import { sleep } from '../../src/async/sleep.ts';
import { figure, joined, percent, type Report } from '../evidence/report.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { jobName } from '../fleet/job-plan.ts';
import type { Random } from '../fleet/random.ts';
import type { Stage } from '../fleet/stage.ts';
import { type Findings, scenario, type World } from '../scenario.ts';
import { createBacklog } from './backlog.ts';
import { randomTokens, requestOfSize, type SizeRange } from './job-sizes.ts';
import { readUpstreamLimits, type UpstreamLimits } from './upstream-limits.ts';

/** Binding is the limit that jobs wait for. */
export type Binding = 'tokens' | 'requests';

const REQUESTS_PER_MINUTE = 600;
const TOKENS_PER_MINUTE = 60_000;
const SIZES: Record<Binding, SizeRange> = {
  tokens: { median: 245, least: 20, most: 3000 },
  requests: { median: 45, least: 10, most: 400 },
};
const TENANTS = ['ann', 'ben'];
/** The number of workers in each part of the run. */
const PHASES = [1, 2, 4, 8, 3];
const LEAST_PHASE_MS = 60_000;
const THINK_MS = { least: 500, most: 6000 };
const WAITING = { kept: 800, required: 500 };
const MOST_VIOLATIONS = 0.01;
const LEAST_USED = 0.9;
const WINDOW_MS = 60_000;
const LOOK_EVERY_MS = 500;

const OPTIONS = {
  workers: 0,
  tenants: TENANTS,
  config: {
    models: { o3: { requestsPerMinute: REQUESTS_PER_MINUTE, tokensPerMinute: TOKENS_PER_MINUTE } },
  },
  simulator: [
    '--requests-per-minute',
    String(REQUESTS_PER_MINUTE),
    '--tokens-per-minute',
    String(TOKENS_PER_MINUTE),
  ],
};

/**
 * runQuota lets workers join and leave while the queue is never empty. The upstream keeps the same limits and
 * counts the creates that come too early.
 */
export async function runQuota(stage: Stage, minutes: number, bindings: readonly Binding[]): Promise<Report> {
  const phaseMs = Math.max(LEAST_PHASE_MS, (minutes * 60_000) / PHASES.length);
  const reports: Report[] = [];
  for (const binding of bindings)
    reports.push(await scenario(OPTIONS, (world) => quota(world, binding, phaseMs))(stage));
  return joined(reports);
}

async function quota(
  { fleet, random, signal, progress, say }: World,
  binding: Binding,
  phaseMs: number,
): Promise<Findings> {
  const nextJob = jobsOf(random, binding);
  const readLimits = () => readUpstreamLimits(fleet.upstreamUrl, 'o3');
  const backlog = createBacklog({
    fleet,
    tenants: TENANTS,
    size: WAITING.kept,
    next: nextJob,
    accepted: async () => (await readLimits()).accepted,
  });
  const over = new AbortController();
  const windows: { atMs: number; workers: number; used: number }[] = [];
  const shareOf = ({ used }: UpstreamLimits): number =>
    binding === 'tokens' ? used.tokens / TOKENS_PER_MINUTE : used.requests / REQUESTS_PER_MINUTE;
  const watching = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const limits = await readLimits();
      const at = Date.now();
      const atMs = at - (limits.first_accepted_at ?? at);
      if (atMs >= WINDOW_MS) windows.push({ atMs, workers: fleet.workers.length, used: shareOf(limits) });
      progress(
        `${binding}: ${fleet.workers.length} workers, ${percent(shareOf(limits))} used, ${limits.refused} refused`,
      );
      await sleep(LOOK_EVERY_MS, signal);
    }
  };
  const changing = changeWorkers(fleet, random, phaseMs, signal, say).finally(() => over.abort());
  await Promise.all([changing, backlog.keepFull(over.signal, signal), watching()]);
  const limits = await readLimits();

  const lowest = windows.reduce((low, window) => (window.used < low.used ? window : low), {
    atMs: 0,
    workers: 0,
    used: Number.POSITIVE_INFINITY,
  });
  const low = windows.filter(({ used }) => used < LEAST_USED).length;
  const minutes = fullMinutes(windows);
  const refusedShare = limits.refused / Math.max(1, limits.accepted + limits.refused);
  const lasted = ((limits.last_accepted_at ?? 0) - (limits.first_accepted_at ?? 0)) / 60_000;
  const whole =
    binding === 'tokens' ? limits.tokens / TOKENS_PER_MINUTE : limits.accepted / REQUESTS_PER_MINUTE;
  return {
    requirements: [
      figure(`${binding} bind`, `${PHASES.join(', ')} workers, ${phaseMs / 1000} s each`),
      figure(
        'creates, and tokens of one',
        `${limits.accepted}, ${(limits.tokens / limits.accepted).toFixed(0)}`,
      ),
      {
        what: 'least number of waiting jobs',
        required: `≥ ${WAITING.required}`,
        measured: `${backlog.least}`,
        met: backlog.least >= WAITING.required,
      },
      {
        what: 'violations: creates that the upstream refused',
        required: `0, at most < ${percent(MOST_VIOLATIONS)}`,
        measured: `${limits.refused} (${percent(refusedShare)})`,
        met: refusedShare < MOST_VIOLATIONS,
      },
      {
        what: `share of ${binding} used in each full minute`,
        required: `each ≥ ${percent(LEAST_USED)}`,
        measured: minutes.map(percent).join(', '),
        met: minutes.length > 0 && minutes.every((used) => used >= LEAST_USED),
      },
      figure(
        'least share used in any 60 s; moments below the requirement',
        `${percent(lowest.used)}, with ${lowest.workers} workers after ${(lowest.atMs / 1000).toFixed(0)} s; ${percent(low / windows.length)} of ${windows.length}`,
      ),
      figure(`average share of ${binding} used`, percent(whole / lasted)),
      figure(
        'most in any minute',
        `${limits.peak.requests} requests, ${limits.peak.tokens} tokens of ${REQUESTS_PER_MINUTE} and ${TOKENS_PER_MINUTE}`,
      ),
    ],
  };
}

/** The use of each full minute, counted from the first create. */
function fullMinutes(windows: readonly { atMs: number; used: number }[]): number[] {
  const count = Math.floor((windows.at(-1)?.atMs ?? 0) / WINDOW_MS);
  return Array.from({ length: count }, (_, i) => {
    const end = windows.find(({ atMs }) => atMs >= (i + 1) * WINDOW_MS);
    return end?.used ?? 0;
  });
}

function jobsOf(random: Random, binding: Binding) {
  let made = 0;
  return () => {
    made += 1;
    return requestOfSize(jobName(made), randomTokens(random, SIZES[binding]), {
      sim_think_ms: String(random.between(THINK_MS.least, THINK_MS.most)),
    });
  };
}

/**
 * At the beginning of a part, workers join or leave: one is killed, the next one stopped, and so on. In the
 * middle of a part with several workers, one is replaced.
 */
async function changeWorkers(
  fleet: Fleet,
  random: Random,
  phaseMs: number,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<void> {
  let left = 0;
  const startedAt = Date.now();
  const leave = async (): Promise<void> => {
    const choice = random.between(0, 999);
    const worker = fleet.workers[choice % Math.max(1, fleet.workers.length)];
    if (worker === undefined) throw new Error('expected a worker to stop, got none');
    left += 1;
    if (left % 2 === 1) fleet.killWorker(worker);
    else await fleet.stopWorker(worker);
  };
  for (const [i, workers] of PHASES.entries()) {
    const many = workers - fleet.workers.length;
    say(`${((Date.now() - startedAt) / 1000).toFixed(0)} s: ${workers} workers`);
    await Promise.all(Array.from({ length: Math.abs(many) }, () => (many > 0 ? fleet.addWorker() : leave())));
    await sleep(startedAt + (i + 0.5) * phaseMs - Date.now(), signal);
    if (workers > 1) await Promise.all([leave(), fleet.addWorker()]);
    await sleep(startedAt + (i + 1) * phaseMs - Date.now(), signal);
  }
}
