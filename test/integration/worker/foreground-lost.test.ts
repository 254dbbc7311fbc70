import { eventually } from '../../support/eventually.ts';
import { quickModels } from '../../support/worlds/instance.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

const SLOW = { sim_think_ms: '60000' };
/** A foreground response goes down with its worker: nobody waits long for it to end. */
const STOP_MS = 500;

let world: WorkerWorld;
afterEach(() => world.stop());

/** With an upstream that has no background mode. */
async function start(requestsPerMinute?: number): Promise<void> {
  const { o3 } = quickModels().models;
  if (o3 === undefined) throw new Error('a model o3 was expected');
  world = await startWorkerWorld({
    gated: false,
    models: { models: { o3: { ...o3, requestsPerMinute } } },
    simulator: { background: 'rejected' },
  });
}

async function stopTheWorker(): Promise<void> {
  const [worker] = world.workers;
  if (worker === undefined) throw new Error('a worker was expected');
  await world.stopWorker(worker, STOP_MS);
}

const purchases = (): number => world.simulator.ledger.totals().purchases;

it('a foreground response that went down with its worker is bought again, and both creates count', async () => {
  await start();
  const { id } = await world.ask('Once more?', SLOW);
  await world.running(id);
  await stopTheWorker();
  world.addWorker();
  await eventually(() => expect(purchases()).toBe(2));
  await eventually(async () =>
    expect((await world.queue.models())[0]?.state).toMatchObject({ requests_last_minute: 2 }),
  );
});

it('a job whose foreground response went down with its worker waits in the fair queue for quota again', async () => {
  await start(1);
  const { id } = await world.ask('Once more?', SLOW);
  await world.running(id);
  await stopTheWorker();
  world.addWorker();
  await eventually(async () =>
    expect(await world.queue.get(id)).toMatchObject({
      status: 'waiting',
      waiting_for: 'rate limit of o3 (1 request per minute)',
    }),
  );
  expect(purchases()).toBe(1);
});

it('a foreground response that went down with its worker is booked, also when its job is not bought again', async () => {
  await start();
  const cancelled = await world.ask('Cancelled?', SLOW);
  const late = await world.ask('Too late?', SLOW, { deadline: new Date(Date.now() + 5000).toISOString() });
  for (const { id } of [cancelled, late]) await world.running(id);
  await stopTheWorker();
  await world.queue.cancel(cancelled.id);
  await eventually(() => expect(Date.now()).toBeGreaterThan(Date.parse(late.created_at) + 5000));
  world.addWorker();
  await world.finished(cancelled.id);
  expect(await world.finished(late.id)).toMatchObject({ error: { code: 'deadline_passed' } });
  await eventually(async () =>
    expect((await world.queue.usage({ by: 'model' })).total).toMatchObject({
      ...{ requests: 2, unpriced_requests: 0, estimated_requests: 2 },
    }),
  );
  expect(purchases()).toBe(2);
});
