import { sleep } from '../../src/async/sleep.ts';
import { figure, percent, type Report, seconds } from '../evidence/report.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Stage } from '../fleet/stage.ts';
import { becomes, onTime, percentile } from '../fleet/timing.ts';
import { readUpstreamLimits } from '../quota/upstream-limits.ts';
import { type Findings, scenario, type World } from '../scenario.ts';

/** GreedyPlan is how much the greedy tenant and its neighbour ask for. */
export interface GreedyPlan {
  /** How many jobs the neighbour sends, alone and beside the greedy tenant. */
  jobs: number;
  /** How long the greedy tenant goes on after the neighbour came, in milliseconds. */
  lastsMs: number;
}

export const FULL_GREEDY: GreedyPlan = { jobs: 40, lastsMs: 118_000 };

const TOKENS_PER_MINUTE = 90_000;
const GREEDY = { tenant: 'ann', tokens: 50_000, thinkMs: 5000, jobs: 20 };
const NEIGHBOUR = { tenant: 'ben', tokens: 250, thinkMs: 500, everyMs: 500 };
const ANSWER_TOKENS = 100;
const LIMIT_MS = 180_000;
/** How many times as long the neighbour's jobs may take beside the greedy tenant as they take alone. */
const MOST_TIMES = 2;
/**
 * The least share of the tokens that both tenants together must use. They can use 89 %, because a second
 * greedy job never fits into the same minute.
 */
const LEAST_USED = 0.8;

/**
 * runGreedy lets two tenants share the tokens of a minute. The neighbour has small jobs; one job of the
 * greedy tenant takes more than half of the tokens.
 */
export function runGreedy(stage: Stage, plan: GreedyPlan): Promise<Report> {
  const options = {
    workers: 2,
    tenants: [GREEDY.tenant, NEIGHBOUR.tenant],
    config: { models: { o3: { tokensPerMinute: TOKENS_PER_MINUTE } } },
    simulator: ['--tokens-per-minute', String(TOKENS_PER_MINUTE)],
  };
  return scenario(options, (world) => greedy(world, plan))(stage);
}

async function greedy({ fleet, signal, progress }: World, { jobs, lastsMs }: GreedyPlan): Promise<Findings> {
  const used = () => readUpstreamLimits(fleet.upstreamUrl, 'o3');
  /**
   * Sends the neighbour's jobs, one after the other. @returns the milliseconds that each job took until its
   * answer.
   */
  const neighbour = async (count: number): Promise<number[]> => {
    const latencies: number[] = [];
    const times = Array.from({ length: count }, (_, i) => ({ atMs: i * NEIGHBOUR.everyMs }));
    await onTime(times, async () => void latencies.push(await answered(fleet, NEIGHBOUR, signal)), signal);
    return latencies;
  };

  progress('each tenant has one answer, so that the sizes of its jobs are known');
  await answered(fleet, NEIGHBOUR, signal);
  await answered(fleet, GREEDY, signal);
  // After this wait the tokens of the greedy job no longer count in the upstream's minute.
  await sleep(62_000, signal);
  progress('the neighbour alone');
  const alone = await neighbour(jobs);
  progress(`${GREEDY.jobs} greedy jobs`);
  const before = await used();
  for (let i = 0; i < GREEDY.jobs; i += 1) await enqueue(fleet, GREEDY, signal);
  const firstIsSent = async (): Promise<boolean> =>
    (await used()).tokens >= before.tokens + GREEDY.tokens / 2;
  await becomes(firstIsSent, LIMIT_MS, signal);
  progress('the neighbour beside the greedy tenant');
  const startedAt = Date.now();
  const beside = await neighbour(Math.max(jobs, Math.floor(lastsMs / NEIGHBOUR.everyMs)));
  const minutes = (Date.now() - startedAt) / 60_000;
  const after = await used();
  const share = (after.tokens - before.tokens) / (TOKENS_PER_MINUTE * Math.max(1, Math.ceil(minutes)));

  const times = percentile(beside, 0.95) / percentile(alone, 0.95);
  return {
    requirements: [
      figure(
        `${alone.length} small jobs alone, and ${beside.length} beside jobs of ${GREEDY.tokens} tokens: p50, p95, longest`,
        [alone, beside].map(latencyText).join('; '),
      ),
      {
        what: 'p95 beside the greedy tenant, as a multiple of what it is alone',
        required: `≤ ${MOST_TIMES}`,
        measured: times.toFixed(2),
        met: times <= MOST_TIMES,
      },
      {
        what: `share of ${TOKENS_PER_MINUTE} tokens a minute that was used in ${seconds(minutes * 60_000)}`,
        required: `≥ ${percent(LEAST_USED)}`,
        measured: percent(share),
        met: share >= LEAST_USED,
      },
      figure('creates that the upstream refused', after.refused),
    ],
  };
}

type Asker = Pick<typeof GREEDY, 'tenant' | 'tokens' | 'thinkMs'>;

async function enqueue(
  fleet: Fleet,
  { tenant, tokens, thinkMs }: Asker,
  signal: AbortSignal,
): Promise<string> {
  const request = {
    question: `${tenant} asks for the next one`,
    metadata: {
      sim_reasoning_tokens: String(tokens - ANSWER_TOKENS),
      sim_output_tokens: String(ANSWER_TOKENS),
      sim_think_ms: String(thinkMs),
      sim_deltas: '2',
    },
  };
  return (await fleet.clientOf(tenant).enqueue(request, { signal })).id;
}

/** @returns how many milliseconds a job took until its answer, or until it was given up. */
async function answered(fleet: Fleet, asker: Asker, signal: AbortSignal): Promise<number> {
  const startedAt = Date.now();
  const id = await enqueue(fleet, asker, signal);
  const { status } = await fleet.clientOf(asker.tenant).wait(id, { timeoutMs: LIMIT_MS, signal });
  if (status === 'failed' || status === 'cancelled')
    throw new Error(`expected an answer, saw ${id} ${status}`);
  return Date.now() - startedAt;
}

function latencyText(values: readonly number[]): string {
  return [0.5, 0.95, 1].map((share) => seconds(percentile(values, share))).join(', ');
}
