import { eventually } from '../../support/eventually.ts';
import { CREATES } from '../../support/openai/upstream-gate.ts';
import { quickModels } from '../../support/worlds/instance.ts';
import {
  FACT_LIMIT_MS,
  RECOVERED,
  said,
  TEST_LIMIT_MS,
  useTakeoverWorld,
} from '../../support/worlds/takeover-world.ts';

const ENDLESS = { sim: 'stall', sim_events: '3' };
const NO_BACKGROUND = Object.fromEntries(
  Object.entries(quickModels().models).map(([name, model]) => [
    name,
    { ...model, background: 'never' as const },
  ]),
);

const here = useTakeoverWorld();

/** Every job runs in its first attempt, and each was bought once. */
async function requireRunningOnce(ids: readonly string[]): Promise<void> {
  for (const id of ids)
    expect(await here.world.running(id)).toMatchObject({ attempt: 1, uncertain_purchases: 0 });
  expect(here.world.simulator.ledger.totals()).toMatchObject({
    ...{ purchases: ids.length, running: ids.length, cancels: 0 },
  });
}

/** The workers whose jobs were looked through because they were silent. */
async function silentWorkers(): Promise<string[]> {
  const fields = await here.world.client.hkeys(here.world.keys.workerDetails);
  return fields.filter((field) => field.startsWith('taken_from:'));
}

describe('the jobs of a worker that sends no heartbeats', () => {
  it(
    'are adopted by another worker when it was killed, long before their locks run out',
    async () => {
      await here.start();
      const killed = await here.addChild();
      const ids = await here.askMany(12, ENDLESS);
      await Promise.all(ids.map((id) => here.world.running(id)));
      const others = await Promise.all([here.addChild(), here.addChild()]);
      await killed.kill();
      const adopted = () => others.reduce((sum, other) => sum + said(other, 'adopted'), 0);
      await eventually(() => expect(adopted()).toBe(12), FACT_LIMIT_MS);
      expect(others.reduce((sum, other) => sum + said(other, RECOVERED), 0)).toBe(12);
      expect(await here.recoveriesOf(ids)).toEqual(ids.map(() => 1));
      await requireRunningOnce(ids);
      // It is forgotten, and so is its silence.
      await eventually(
        async () => expect(await here.world.client.zcard(here.world.keys.workers)).toBe(2),
        FACT_LIMIT_MS,
      );
      expect(await silentWorkers()).toEqual([]);
    },
    TEST_LIMIT_MS,
  );

  it(
    'count a tenth of a recovery if their worker had heard of the response, so that ten deaths in a row end no job',
    async () => {
      await here.start();
      const first = await here.addChild();
      // A worker streams its first creates, until it knows that the upstream has a background mode.
      await here.world.finished((await here.world.ask('Ready?')).id, FACT_LIMIT_MS);
      const { id } = await here.world.ask('Who?', ENDLESS, { stream: false });
      const seenAt = () => here.world.client.hget(here.world.keys.run(id), 'seen_at');
      await eventually(async () => expect(await seenAt()).not.toBeNull(), FACT_LIMIT_MS);
      const seenByFirst = await seenAt();
      // As after ten recoveries that count.
      await here.world.client.hset(here.world.keys.job(id), 'stc', 10);
      const second = await here.addChild();
      await first.kill();
      await eventually(() => expect(said(second, 'adopted')).toBe(1), FACT_LIMIT_MS);
      await eventually(async () => expect(await seenAt()).not.toBe(seenByFirst), FACT_LIMIT_MS);
      expect(await here.world.running(id)).toMatchObject({ attempt: 1, purchases: 1 });

      // As if the job had killed the second worker before that worker heard of the response.
      await here.world.client.hset(here.world.keys.job(id), 'o3q.heard_at', String(await seenAt()));
      await here.addChild();
      await second.kill();
      expect(await here.world.finished(id, FACT_LIMIT_MS)).toMatchObject({
        status: 'failed',
        error: { code: 'stalled' },
      });
    },
    TEST_LIMIT_MS,
  );

  it(
    'are adopted when it was stopped; when it goes on it drops them, and cancels no response',
    async () => {
      await here.start();
      const stopped = await here.addChild();
      const ids = await here.askMany(8, ENDLESS);
      await Promise.all(ids.map((id) => here.world.running(id)));
      const other = await here.addChild();
      stopped.signal('SIGSTOP');
      await eventually(() => expect(said(other, 'adopted')).toBe(8), FACT_LIMIT_MS);
      stopped.signal('SIGCONT');
      await eventually(() => expect(said(stopped, 'lost to another worker')).toBe(8), FACT_LIMIT_MS);
      expect(await here.recoveriesOf(ids)).toEqual(ids.map(() => 1));
      expect(said(other, RECOVERED)).toBe(8);
      await requireRunningOnce(ids);
      expect(stopped.said()).not.toContain('"level":"error"');
    },
    TEST_LIMIT_MS,
  );

  it(
    'are lost by no crash: the worker that has just taken them is killed, and a third one adopts them',
    async () => {
      await here.start();
      const killed = await here.addChild();
      const ids = await here.askMany(6, ENDLESS);
      await Promise.all(ids.map((id) => here.world.running(id)));
      const second = await here.addChild({ diesOfTakeover: true });
      await killed.kill();
      await second.exited;
      const third = await here.addChild();
      await eventually(() => expect(said(third, 'adopted')).toBe(6), FACT_LIMIT_MS);
      expect(Math.max(...(await here.recoveriesOf(ids)))).toBeLessThanOrEqual(2);
      await requireRunningOnce(ids);
    },
    TEST_LIMIT_MS,
  );

  it(
    'stay with it while it is only stopped in the middle of a create, and it stores the id later',
    async () => {
      await here.start();
      const stopped = await here.addChild();
      here.world.gate.shut(CREATES);
      const [id = ''] = await here.askMany(1, { sim_think_ms: '100' });
      await here.world.gate.holding(1);
      const other = await here.addChild();
      stopped.signal('SIGSTOP');
      await eventually(async () => expect(await silentWorkers()).toHaveLength(1), FACT_LIMIT_MS);
      expect(await here.world.client.lrange(here.world.keys.queue('active'), 0, -1)).toEqual([id]);
      expect(said(other, RECOVERED)).toBe(0);
      here.world.gate.open();
      stopped.signal('SIGCONT');
      await here.requireBoughtOnce([id]);
    },
    TEST_LIMIT_MS,
  );

  it(
    'are bought again at once when it was killed in the middle of a create, which counts as uncertain',
    async () => {
      await here.start();
      const killed = await here.addChild();
      here.world.gate.shut(CREATES);
      const [id = ''] = await here.askMany(1, { sim_think_ms: '100' });
      await here.world.gate.holding(1);
      const other = await here.addChild();
      await killed.kill();
      here.world.gate.open();
      expect(await here.world.finished(id, FACT_LIMIT_MS)).toMatchObject({
        ...{ status: 'completed', attempt: 1, purchases: 1, uncertain_purchases: 1 },
      });
      expect(said(other, RECOVERED)).toBe(1);
      expect(here.world.simulator.ledger.totals()).toMatchObject({ purchases: 2 });
    },
    TEST_LIMIT_MS,
  );

  it(
    'are left to their locks when their responses run in the foreground',
    async () => {
      await here.start({ models: { models: NO_BACKGROUND } });
      const killed = await here.addChild();
      const [id = ''] = await here.askMany(1, { sim_think_ms: '60000' });
      await here.world.running(id);
      const other = await here.addChild();
      await killed.kill();
      // The other worker has taken all that it may.
      await eventually(
        async () => expect(await here.world.client.zcard(here.world.keys.workers)).toBe(1),
        FACT_LIMIT_MS,
      );
      expect(await here.world.client.exists(here.world.keys.lock(id))).toBe(1);
      expect(said(other, RECOVERED)).toBe(0);
      expect(here.world.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
      // The lock runs out.
      await here.world.client.del(here.world.keys.lock(id));
      await eventually(() => expect(said(other, RECOVERED)).toBe(1), FACT_LIMIT_MS);
    },
    TEST_LIMIT_MS,
  );
});
