import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkerChild } from '../../support/worker/worker-child.ts';
import { RECOVERED, said, TEST_LIMIT_MS, useTakeoverWorld } from '../../support/worlds/takeover-world.ts';

const here = useTakeoverWorld();

/** Lets a worker run in short spells until the signal aborts, as a machine under full load does. */
async function starve(worker: WorkerChild, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    worker.signal('SIGSTOP');
    await sleep(900);
    worker.signal('SIGCONT');
    await sleep(300);
  }
}

describe('nothing is bought twice, and no job wanders from worker to worker,', () => {
  it.each([2000, 6000])(
    'when the event loop of a worker stands still for %d ms',
    async (ms) => {
      await here.start();
      const blocked = await here.addUngatedChild();
      await here.addUngatedChild();
      const ids = await here.askMany(16, { sim_think_ms: String(ms + 4000), sim_deltas: '5' });
      await Promise.all(ids.map((id) => here.world.running(id)));
      blocked.block(ms);
      await here.requireBoughtOnce(ids);
      expect(Math.max(...(await here.recoveriesOf(ids)))).toBeLessThanOrEqual(1);
    },
    TEST_LIMIT_MS,
  );

  it(
    'when Redis hangs for three seconds: no worker is taken for dead',
    async () => {
      await here.start();
      const workers = await Promise.all([
        here.addUngatedChild(),
        here.addUngatedChild(),
        here.addUngatedChild(),
      ]);
      const ids = await here.askMany(12, { sim_think_ms: '9000', sim_deltas: '5' });
      await Promise.all(ids.map((id) => here.world.running(id)));
      await here.world.redis.kill('SIGSTOP');
      await sleep(3000);
      await here.world.redis.kill('SIGCONT');
      await here.world.reconnected();
      await here.requireBoughtOnce(ids);
      expect(await here.recoveriesOf(ids)).toEqual(ids.map(() => 0));
      expect(workers.map((worker) => said(worker, RECOVERED))).toEqual([0, 0, 0]);
    },
    TEST_LIMIT_MS,
  );

  it(
    'on a machine under full load, which lets each worker run for a moment now and then',
    async () => {
      await here.start();
      const workers = [await here.addUngatedChild(), await here.addUngatedChild()];
      const ended = new AbortController();
      const starving = workers.map((worker) => starve(worker, ended.signal));
      try {
        const ids = await here.askMany(24, { sim_think_ms: '6000', sim_deltas: '20' });
        await here.requireBoughtOnce(ids);
        expect(Math.max(...(await here.recoveriesOf(ids)))).toBeLessThanOrEqual(2);
      } finally {
        ended.abort();
        await Promise.all(starving);
      }
    },
    TEST_LIMIT_MS,
  );
});
