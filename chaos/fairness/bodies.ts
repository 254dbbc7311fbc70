import { randomBytes } from 'node:crypto';
import { sleep } from '../../src/async/sleep.ts';
import { O3ClientError } from '../../src/client/client-error.ts';
import type { O3Client } from '../../src/client/o3-client.ts';
import type { JobView } from '../../src/job/view.ts';
import { createStallMeter } from '../callers/stall-meter.ts';
import { findViolations } from '../evidence/checks.ts';
import { purchaseRequirement } from '../evidence/purchases.ts';
import { exactly, figure, type Report } from '../evidence/report.ts';
import { residentBytes } from '../fleet/child.ts';
import { keyOf } from '../fleet/fleet.ts';
import { jobName } from '../fleet/job-plan.ts';
import type { Stage } from '../fleet/stage.ts';
import { becomes, onTime } from '../fleet/timing.ts';
import { type Findings, scenario, type World } from '../scenario.ts';
import { countIn, countsText, latencyText, megabytes, peakMemory, watchRedis } from './vital-signs.ts';

const MB = 1024 ** 2;
const STORMER = 'storm';
const NEIGHBOURS = Array.from({ length: 9 }, (_, i) => `tenant-${i + 1}`);
/** How often each neighbour asks, in milliseconds. */
const ASK_EVERY_MS = 200;
const PHASE_MS = 20_000;
/** How many bodies the stormer sends at once. */
const CONNECTIONS = 8;
const BODY_MB = 10;
const DELAY_MS = 3_600_000;
const RETRY_MS = 200;
const LIMIT_MS = 120_000;

/**
 * runBodies lets nine tenants ask small questions, first alone, then beside a tenant that sends bodies of
 * 10 MB as fast as the producer takes them. Each large job that was accepted is looked for and deleted, so
 * that Redis does not fill.
 */
export function runBodies(stage: Stage): Promise<Report> {
  return scenario({ workers: 1, tenants: [STORMER, ...NEIGHBOURS] }, bodies)(stage);
}

async function bodies(world: World): Promise<Findings> {
  const { fleet, history, callers, signal, progress } = world;
  const pid = fleet.producers[0]?.child.pid ?? 0;
  let asked = 0;
  const refused = new Map<string, number>();
  /** @returns the milliseconds until each question of all neighbours was accepted. */
  const neighbours = async (): Promise<number[]> => {
    const times = Array.from({ length: PHASE_MS / ASK_EVERY_MS }, (_, i) =>
      NEIGHBOURS.map((tenant, at) => ({ tenant, atMs: (i + at / NEIGHBOURS.length) * ASK_EVERY_MS })),
    ).flat();
    const latencies: number[] = [];
    const ask = async ({ tenant }: { tenant: string }): Promise<void> => {
      const question = `${jobName(asked)} of ${tenant}`;
      asked += 1;
      const body = JSON.stringify({ question, metadata: { sim_think_ms: '100', sim_deltas: '2' } });
      const startedAt = performance.now();
      const answer = await post(world, tenant, body);
      latencies.push(performance.now() - startedAt);
      if (answer.status === 202) history.accepted(answer.body as JobView);
      else countIn(refused, codeIn(answer.body));
    };
    await onTime(times, ask, signal);
    return latencies;
  };

  progress('nine tenants alone');
  const before = await residentBytes(pid);
  const alone = await neighbours();
  progress(`the same beside bodies of ${BODY_MB} MB`);
  const ended = new AbortController();
  const meter = createStallMeter([fleet.producerUrl]);
  const redisAnswers = watchRedis(fleet.redis.url, ended.signal);
  const storm = stormUntil(world, ended.signal);
  // A failure is thrown where the storm is waited for. Unhandled, it would leave the processes of the fleet.
  storm.catch(() => {});
  const peak = peakMemory(pid, ended.signal);
  const beside = await neighbours();
  const stalls = meter.stop();
  ended.abort();
  const { accepted, lost, refusals, withoutRetryAfter } = await storm;
  await callers.allFinished(LIMIT_MS);
  const evidence = await world.evidence();
  return {
    requirements: [
      figure('accepting a small question alone: p50, p99, longest', latencyText(alone)),
      figure('the same beside the storm', latencyText(beside)),
      ...stalls,
      figure('the same of Redis', latencyText((await redisAnswers).pings)),
      figure(
        'memory of the producer: before, and the most in the storm',
        [before, await peak].map(megabytes).join(', '),
      ),
      figure(`bodies of ${BODY_MB} MB that were accepted in ${PHASE_MS / 1000} s`, accepted),
      figure('their refusals, by code', countsText(refusals)),
      exactly('refusals of large bodies that are not 503 with Retry-After', 0, withoutRetryAfter),
      exactly('accepted large jobs that were not there afterwards', 0, lost),
      figure('refusals of small questions, by code', countsText(refused)),
      purchaseRequirement(evidence, history.jobs.size),
    ],
    violations: findViolations(evidence),
  };
}

/** Storm is what the stormer saw. */
interface Storm {
  accepted: number;
  lost: number;
  refusals: Map<string, number>;
  withoutRetryAfter: number;
}

/** Sends large bodies until the signal aborts, each connection the next one as soon as the last is answered. */
async function stormUntil(world: World, ended: AbortSignal): Promise<Storm> {
  const { fleet, signal } = world;
  const client = fleet.clientOf(STORMER);
  // Like images and files in a request, it cannot be compressed to much less.
  const question = randomBytes((BODY_MB * MB * 3) / 4).toString('base64');
  const body = Buffer.from(JSON.stringify({ question, delay_ms: DELAY_MS }));
  const storm: Storm = { accepted: 0, lost: 0, refusals: new Map(), withoutRetryAfter: 0 };
  const send = async (): Promise<void> => {
    while (!ended.aborted) {
      const answer = await post(world, STORMER, body);
      if (answer.status === 202) {
        storm.accepted += 1;
        const { id } = answer.body as JobView;
        const isThere = await becomes(() => removed(client, id, signal), LIMIT_MS, signal, RETRY_MS);
        if (!isThere) storm.lost += 1;
        continue;
      }
      countIn(storm.refusals, codeIn(answer.body));
      if (answer.status !== 503 || answer.retryAfter === null) storm.withoutRetryAfter += 1;
      await sleep(Number(answer.retryAfter) * 1000, ended).catch(() => {});
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, send));
  return storm;
}

/** Cancels and deletes a job. @returns false while the producer cannot do it. */
async function removed(client: O3Client, id: string, signal: AbortSignal): Promise<boolean> {
  try {
    await client.cancel(id, { signal });
    await client.delete(id, { signal });
    return true;
  } catch (error: unknown) {
    if (error instanceof O3ClientError && error.code === 'redis_unavailable') return false;
    throw error;
  }
}

interface PostAnswer {
  status: number;
  retryAfter: string | null;
  body: unknown;
}

async function post(
  { fleet, signal }: World,
  tenant: string,
  body: string | Uint8Array<ArrayBuffer>,
): Promise<PostAnswer> {
  const headers = { authorization: `Bearer ${keyOf(tenant)}`, 'content-type': 'application/json' };
  const url = new URL('/jobs', fleet.producerUrl);
  const answer = await fetch(url, { method: 'POST', headers, body, signal });
  return {
    status: answer.status,
    retryAfter: answer.headers.get('retry-after'),
    body: await answer.json(),
  };
}

function codeIn(problem: unknown): string {
  return (problem as { code: string }).code;
}
