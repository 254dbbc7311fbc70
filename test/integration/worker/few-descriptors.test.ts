import { startWorkerChild, type WorkerChild } from '../../support/worker/worker-child.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

/** What Node itself, Redis and our reserve need, and a few for jobs. */
const DESCRIPTORS = 96;
/** More jobs than descriptors would be left for. */
const JOBS = 61;

let world: WorkerWorld;
let child: WorkerChild | undefined;
afterEach(async () => {
  await child?.kill();
  await world.stop();
});

const onLinux = process.platform === 'linux' ? it : it.skip;

onLinux('a worker with few descriptors holds fewer jobs, says so, and buys each job once', async () => {
  world = await startWorkerWorld({ workers: 0, simulator: { thinkMs: 500 } });
  const ids: string[] = [];
  for (let i = 0; i < JOBS; i += 1) ids.push((await world.ask(`Question ${i}?`, {}, { stream: true })).id);
  child = await startWorkerChild(world, { descriptors: DESCRIPTORS });
  for (const id of ids) {
    expect(await world.finished(id)).toMatchObject({
      ...{ status: 'completed', attempt: 1, purchases: 1, uncertain_purchases: 0 },
    });
  }
  const [, slots] =
    /"msg":"holds (\d+) jobs at once instead of the 100 of O3Q_CONCURRENCY.*this process may open 96\./.exec(
      child.said(),
    ) ?? [];
  expect(Number(slots)).toBeGreaterThan(1);
  expect(Number(slots)).toBeLessThan(JOBS);
  // Neither the upstream nor Redis was out of reach.
  expect(child.said()).not.toMatch(/EMFILE|could not be reached|queue error/);
});
