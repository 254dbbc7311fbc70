import { type FinishedStatus, isFinishedJob } from '../../../src/job/job.ts';
import type { JobView } from '../../../src/job/view.ts';
import { eventually } from '../../support/eventually.ts';
import { type Answer, viewOf } from '../../support/http/http-calls.ts';
import { useIdleWorld } from '../../support/worlds/idle-world.ts';

/** For 300 jobs and 900 requests in one process, which take 5 s alone and 27 s at a load of ten. */
const LIMIT_MS = 120_000;

const world = useIdleWorld();

it(
  'each of 300 jobs cancelled at random ends once, and is not bought after its cancel',
  async () => {
    const count = 300;
    world.instance.addWorker();
    const asked = new Map<string, { outcome: string; at: number }>();
    const ended = new Map<string, FinishedStatus>();
    const random = randomFrom(20251123);
    const requests = Array.from({ length: count }, (_, i) => ({
      question: `Number ${i}?`,
      metadata: { number: String(i), sim_think_ms: '25' },
      ...(i % 5 === 1 && { priority: 1 + (i % 3) }),
      ...(i % 5 === 2 && { delay_ms: i % 200 }),
    }));
    const ids = (await world.queue.enqueueBulk(requests)).map((outcome) =>
      outcome.ok ? outcome.job.id : '',
    );

    // Every end is announced once. The view at that moment must never change.
    const listener = world.redis.duplicate();
    const announced: string[] = [];
    listener.on('message', (_channel, id) => announced.push(id));
    await listener.subscribe('o3q:finished:{o3}');

    const cancelAndLook = async (id: string): Promise<void> => {
      const answer = await world.cancel(id);
      asked.set(id, { outcome: outcomeOf(answer), at: Date.now() });
      const view = await viewOf(world.instance.url, id);
      if (isFinishedJob(view)) ended.set(id, view.status);
    };
    // Progress chooses the moment of each cancel, not time: after so many jobs have ended.
    const turns = ids
      .map((id) => ({ id, after: Math.floor(random() * count * 0.7) }))
      .sort((one, other) => one.after - other.after);
    const cancels: Promise<void>[] = [];
    await eventually(async () => {
      const done = count - (await world.redis.zcard('o3q:index:{o3}:live'));
      while ((turns[0]?.after ?? count) <= done) cancels.push(cancelAndLook(turns.shift()?.id ?? ''));
      expect(turns).toEqual([]);
    }, LIMIT_MS);
    await Promise.all(cancels);
    await eventually(async () => expect(await world.redis.zcard('o3q:index:{o3}:live')).toBe(0), LIMIT_MS);

    const statuses: Record<string, number> = {};
    const byNumber = new Map<string, number[]>();
    for (const { metadata, created_at } of world.instance.simulator.ledger.entries()) {
      const number = metadata['number'] ?? '';
      byNumber.set(number, [...(byNumber.get(number) ?? []), created_at]);
    }
    for (const [i, id] of ids.entries()) {
      const view = await viewOf(world.instance.url, id);
      statuses[view.status] = (statuses[view.status] ?? 0) + 1;
      expect(['completed', 'cancelled']).toContain(view.status);
      expect(ended.get(id) ?? view.status).toBe(view.status);
      const ask = asked.get(id);
      if (ask?.outcome === 'finished') expect(view.status).toBe('completed');
      else expect(view.status).toBe('cancelled');
      const purchases = byNumber.get(String(i)) ?? [];
      expect(purchases.length).toBeLessThanOrEqual(1);
      if (ask?.outcome === 'cancelled' && 'started_at' in view && view.started_at === null) {
        expect(purchases).toEqual([]);
      }
      for (const at of purchases) if (ask?.outcome === 'cancelled') expect(at).toBeLessThanOrEqual(ask.at);
    }
    await eventually(() => expect(announced.toSorted()).toEqual(ids.toSorted()));
    expect(Object.keys(statuses).sort()).toEqual(['cancelled', 'completed']);
    // Workers tell BullMQ of each end right after our record.
    await eventually(async () =>
      expect(await world.o3.bullmq.getJobCounts()).toMatchObject({
        ...{ waiting: 0, active: 0, delayed: 0, prioritized: 0 },
        completed: statuses['completed'],
        failed: statuses['cancelled'],
      }),
    );
    listener.disconnect();
  },
  LIMIT_MS,
);

function outcomeOf({ status, body }: Answer): 'cancelled' | 'cancelling' | 'finished' {
  if (status === 409) return 'finished';
  expect([200, 202]).toContain(status);
  if (status === 200) expect((body as JobView).status).toBe('cancelled');
  return status === 200 ? 'cancelled' : 'cancelling';
}

/** A small random generator (mulberry32) with a seed, so that a failed run can be repeated. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
