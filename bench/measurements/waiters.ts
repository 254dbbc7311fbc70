import { callUntilEnd } from '../../chaos/callers/waiting-call.ts';
import { onTime, percentile } from '../../chaos/fleet/timing.ts';
import { isJobView } from '../../src/client/answer.ts';
import { inTurns, type Measurement, scaled } from '../measurement.ts';
import { QUESTION } from '../rig/jobs.ts';
import { type Rig, withRig } from '../rig/rig.ts';
import type { Side } from '../rig/side.ts';

const WAITERS = 2000;
/** A worker must start jobs as fast as they come. Otherwise they would end later than planned. */
const PER_SECOND = 120;
/** The time from the last call until the first job ends, in milliseconds. */
const LEAD_MS = 3000;
/** The jobs end at even distances within this time, in milliseconds. */
const SPREAD_MS = 10_000;
const WAIT_SECONDS = 120;

/** waiters measures how soon callers who wait get their answers, when thousands wait at one producer. */
export const waiters: Measurement = {
  name: 'waiters',
  description: '2,000 callers who wait at one producer: from the end of the job to the answer',
  measure: (stage) => {
    const count = scaled(stage, WAITERS, 50);
    return withRig(stage, { workers: 1, concurrency: count }, async (rig) => {
      await inTurns(stage, `${count} callers wait`, async (name) => {
        const side = rig.sides[name];
        const calls = planCalls(count, scaled(stage, SPREAD_MS, 1000));
        const startedAt = Date.now();
        const delays: number[] = [];
        await onTime(
          calls,
          async ({ endsAfterMs }) => {
            const thinkMs = Math.max(0, Math.round(startedAt + endsAfterMs - Date.now()));
            const { status, body, at } = await callUntilEnd({
              method: 'POST',
              url: new URL(`/jobs?wait=${WAIT_SECONDS}`, side.url),
              body: { question: QUESTION, metadata: { sim_think_ms: String(thinkMs), sim_deltas: '2' } },
              signal: stage.signal,
            });
            if (status !== 200) throw new Error(`expected 200 from ${name}, got ${status}`);
            delays.push(at - (await endOf(rig, side, body)));
          },
          stage.signal,
        );
        stage.tally.add('waitersP50', name, percentile(delays, 0.5));
        stage.tally.add('waitersP99', name, percentile(delays, 0.99));
      });
    });
  },
};

/** Plans the calls: the first caller to come need not be the first to get an answer. */
function planCalls(count: number, spreadMs: number): { atMs: number; endsAfterMs: number }[] {
  const lastMs = (count * 1000) / PER_SECOND;
  // A step that has no common divisor with the count visits every place once.
  const step = 7919;
  return Array.from({ length: count }, (_, index) => ({
    atMs: (index * 1000) / PER_SECOND,
    endsAfterMs: lastMs + LEAD_MS + (((index * step) % count) * spreadMs) / count,
  }));
}

/** Returns when the job of this answer ended, in Unix milliseconds: when its worker says that it did. */
async function endOf({ redis }: Rig, side: Side, body: unknown): Promise<number> {
  if (isJobView(body)) return 'finished_at' in body ? Date.parse(body.finished_at) : Number.NaN;
  const { id } = body as { id: string };
  return Number(await redis.hget(side.jobKey(id), 'finishedOn'));
}
