import { isFinishedJob } from '../../../src/job/job.ts';
import { daysBefore, utcDay } from '../../../src/usage/utc-day.ts';
import { billIn, billOf } from '../../support/bill.ts';
import { eventually } from '../../support/eventually.ts';
import { startWorkerChild } from '../../support/worker/worker-child.ts';
import { startWorkerWorld } from '../../support/worlds/worker-world.ts';

test('a job whose worker was killed is booked once, at every point of its run', async () => {
  const world = await startWorkerWorld({ workers: 0 });
  const child = await startWorkerChild(world);
  try {
    const jobs = await Promise.all(
      Array.from({ length: 24 }, (_, i) =>
        // Some have ended before the kill, some are ending when it comes, some go on.
        world.ask(`Number ${i}?`, { sim_think_ms: String(50 + i * 100) }, { stream: i % 2 === 0 }),
      ),
    );
    await eventually(async () => {
      const views = await Promise.all(jobs.map(({ id }) => world.queue.get(id)));
      const done = views.filter((view) => view !== null && isFinishedJob(view)).length;
      // Their response ids are stored. Otherwise a purchase could be uncertain.
      const bought = views.reduce((sum, view) => sum + (view?.purchases ?? 0), 0);
      expect({ some: done >= 4, all: done === 24, bought }).toEqual({ some: true, all: false, bought: 24 });
    });
    await child.kill();
    world.addWorker();
    for (const { id } of jobs) expect(await world.finished(id)).toMatchObject({ status: 'completed' });
    const { total } = await world.queue.usage({ to: daysBefore(utcDay(Date.now()), -1) });
    expect(billIn(total)).toEqual(billOf(world.simulator.ledger.entries()));
    expect(total).toMatchObject({ requests: 24, unpriced_requests: 0 });
  } finally {
    await child.kill();
    await world.stop();
  }
});
