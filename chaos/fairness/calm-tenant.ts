import { sleep } from '../../src/async/sleep.ts';
import { isJobView } from '../../src/client/answer.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import { keyOf } from '../fleet/fleet.ts';
import { jobName } from '../fleet/job-plan.ts';
import { limited, onTime } from '../fleet/timing.ts';
import type { World } from '../scenario.ts';
import { countIn } from './vital-signs.ts';

/** CALLS are what the calm tenant does: the name of each is that of a row of the table. */
export const CALLS = ['accept', 'answer', 'job', 'list', 'event'] as const;
export type Call = (typeof CALLS)[number];

/** CalmPhase is what the calm tenant saw in a time: the milliseconds of each call, and what failed. */
export interface CalmPhase {
  times: Record<Call, number[]>;
  /** Refusals and calls without an answer, by call and code. */
  failures: Map<string, number>;
}

/** CalmTenant asks small questions at a steady pace, and looks at them. */
export interface CalmTenant {
  askFor(ms: number): Promise<CalmPhase>;
  /** The names of the jobs that were accepted. */
  readonly accepted: ReadonlySet<string>;
}

const ROUND_EVERY_MS = 200;
/** How long the model thinks, in milliseconds. A call that waits for the answer takes that much longer. */
export const THINK_MS = 100;
/** After this time the calm tenant gives a call up, in milliseconds. */
const PATIENCE_MS = 60_000;

/**
 * createCalmTenant makes a tenant that begins a round five times a second, whether or not the last one has
 * ended. In a round it enqueues a question, then reads the job, opens its event stream until the first event,
 * and lists its jobs. Every second round it also sends a question and waits for the answer.
 */
export function createCalmTenant(world: World, tenant: string): CalmTenant {
  const { fleet, signal } = world;
  const accepted = new Set<string>();
  let asked = 0;

  const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(new URL(path, fleet.producerUrl), {
      ...init,
      headers: { authorization: `Bearer ${keyOf(tenant)}`, 'content-type': 'application/json' },
      signal: limited(signal, PATIENCE_MS),
    });

  return {
    accepted,
    async askFor(ms) {
      const phase: CalmPhase = {
        times: { accept: [], answer: [], job: [], list: [], event: [] },
        failures: new Map(),
      };
      /** @returns what the call answered; undefined: it failed, which is counted. */
      const timed = async <Answer>(call: Call, act: () => Promise<Answer>): Promise<Answer | undefined> => {
        const startedAt = performance.now();
        try {
          const answer = await act();
          phase.times[call].push(performance.now() - startedAt);
          return answer;
        } catch (error: unknown) {
          signal.throwIfAborted();
          countIn(phase.failures, `${call}: ${error instanceof Error ? error.message : String(error)}`);
          return undefined;
        }
      };
      const post = async (path: string): Promise<{ id: string; isFinished: boolean }> => {
        const name = jobName(asked);
        asked += 1;
        const question = `${name} of ${tenant}`;
        const body = JSON.stringify({
          question,
          metadata: { sim_think_ms: String(THINK_MS), sim_deltas: '2' },
        });
        const job = await jsonOf(await ask(path, { method: 'POST', body }));
        if (!isJobView(job)) throw new Error('no job');
        accepted.add(name);
        return { id: job.id, isFinished: isFinishedJob(job) };
      };
      const round = async ({ isAnswered }: { isAnswered: boolean }): Promise<void> => {
        const whole = isAnswered
          ? timed('answer', async () => {
              const { isFinished } = await post('/jobs?wait=60');
              if (!isFinished) throw new Error('not finished in time');
            })
          : undefined;
        const job = await timed('accept', () => post('/jobs'));
        await Promise.all([
          whole,
          timed('list', async () => jsonOf(await ask('/jobs?limit=20'))),
          job && timed('job', async () => jsonOf(await ask(`/jobs/${job.id}`))),
          job && timed('event', async () => firstPiece(await ask(`/jobs/${job.id}/events`))),
        ]);
      };
      const rounds = Array.from({ length: Math.floor(ms / ROUND_EVERY_MS) }, (_, i) => ({
        atMs: i * ROUND_EVERY_MS,
        isAnswered: i % 2 === 0,
      }));
      await onTime(rounds, round, signal);
      await sleep(0, signal);
      return phase;
    },
  };
}

async function jsonOf(response: Response): Promise<unknown> {
  const body: unknown = await response.json();
  if (response.ok) return body;
  throw new Error(codeIn(body) ?? String(response.status));
}

/** Waits for the first piece of a stream, and closes it. */
async function firstPiece(response: Response): Promise<void> {
  if (!response.ok) await jsonOf(response);
  const reader = response.body?.getReader();
  await reader?.read();
  await reader?.cancel();
}

function codeIn(problem: unknown): string | undefined {
  return typeof problem === 'object' && problem !== null && 'code' in problem
    ? String(problem.code)
    : undefined;
}
