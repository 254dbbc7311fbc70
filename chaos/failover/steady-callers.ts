import { sleep } from '../../src/async/sleep.ts';
import { isJobView } from '../../src/client/answer.ts';
import type { JobRequest } from '../../src/job/request.ts';
import { jobName } from '../fleet/job-plan.ts';
import { limited } from '../fleet/timing.ts';
import type { World } from '../scenario.ts';
import { BACKGROUND, FOREGROUND } from './variants.ts';

/** Answer is what one request to enqueue was answered, or `none`. */
export interface Answer {
  /** Unix milliseconds. */
  at: number;
  /** How long it took, in milliseconds. */
  tookMs: number;
  /** The HTTP status; `none`: the connection broke, or nothing came in time. */
  status: number | 'none';
  /** What the header `O3Q-Ack` said; null: there was none. */
  ack: string | null;
}

/**
 * Asked is one question, with all answers to it: a caller with a key repeats the question until it is
 * accepted.
 */
export interface Asked {
  readonly name: string;
  readonly model: string;
  readonly isKeyed: boolean;
  readonly answers: Answer[];
  /** When the question was accepted, in Unix milliseconds; undefined: it was not accepted. */
  acceptedAt: number | undefined;
}

/** SteadyCallers enqueue questions at a steady rate until they are stopped. */
export interface SteadyCallers {
  readonly asked: readonly Asked[];
  /** Asks nothing new, and waits for the last answers. */
  stop(): Promise<void>;
}

const ASK_AGAIN_MS = 200;
const ANSWER_LIMIT_MS = 20_000;
/** How long a caller with a key repeats its question, in milliseconds. */
const PATIENCE_MS = 60_000;

/**
 * startSteadyCallers enqueues jobs of both models in turn. Of the jobs of each model, every second one has an
 * idempotency key.
 */
export function startSteadyCallers(
  world: World,
  { perSecond, longestMs }: { perSecond: number; longestMs: number },
): SteadyCallers {
  const asked: Asked[] = [];
  const running = new Set<Promise<void>>();
  const timer = setInterval(() => {
    const index = asked.length;
    const one: Asked = {
      name: jobName(index),
      model: index % 2 === 0 ? BACKGROUND : FOREGROUND,
      isKeyed: index % 4 >= 2,
      answers: [],
      acceptedAt: undefined,
    };
    asked.push(one);
    // Every fifth answer takes longer than a lock lives.
    const thinkMs = index % 5 === 0 ? longestMs : world.random.between(300, 3000);
    const work = ask(world, one, thinkMs).finally(() => running.delete(work));
    work.catch(() => {});
    running.add(work);
  }, 1000 / perSecond);
  return {
    asked,
    async stop() {
      clearInterval(timer);
      await Promise.all(running);
    },
  };
}

async function ask(world: World, one: Asked, thinkMs: number): Promise<void> {
  const { fleet, history, signal } = world;
  const request: JobRequest & { model: string } = {
    model: one.model,
    question: `${one.name} of a steady caller`,
    stream: true,
    metadata: { sim_think_ms: String(thinkMs), sim_deltas: '10' },
  };
  const until = Date.now() + PATIENCE_MS;
  do {
    const sentAt = Date.now();
    let status: Answer['status'] = 'none';
    let ack: string | null = null;
    try {
      // Uses fetch instead of the client, whose own retries would hide what a caller sees.
      const response = await fetch(new URL('/jobs', fleet.producerUrl), {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(one.isKeyed && { 'idempotency-key': one.name }),
        },
        body: JSON.stringify(request),
        signal: limited(signal, ANSWER_LIMIT_MS),
      });
      status = response.status;
      ack = response.headers.get('o3q-ack');
      const body: unknown = await response.json();
      if (response.ok && isJobView(body)) {
        history.accepted(body);
        one.acceptedAt = Date.now();
      }
    } catch {
      signal.throwIfAborted();
      status = 'none';
    }
    one.answers.push({ at: Date.now(), tookMs: Date.now() - sentAt, status, ack });
    // Without a key a repeat could become a second job.
    if (one.acceptedAt !== undefined || !one.isKeyed) return;
    await sleep(ASK_AGAIN_MS, signal);
  } while (Date.now() < until);
}
