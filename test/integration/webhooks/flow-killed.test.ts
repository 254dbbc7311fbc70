import { FlowProducer } from 'bullmq';
import { eventually } from '../../support/eventually.ts';
import { startCrashWorker } from '../../support/worker/crash-worker.ts';
import {
  CALLERS_SECRET,
  type CallersWorld,
  eventIn,
  openCallersWorld,
  RECOVERED_MS,
} from '../../support/worlds/callers-world.ts';
import { QUICK_RECOVERY } from '../../support/worlds/worker-world.ts';

/** More than a parent that BullMQ fails has places at which its worker can die. */
const PARENTS = 8;
const DIES_AT = 'after moveToFinished';

let here: CallersWorld;
beforeAll(async () => {
  here = await openCallersWorld();
});
afterAll(() => here.close());

it("a parent whose worker is killed right after BullMQ failed it has its child's reason and its webhook", async () => {
  const { world } = here;
  const { url, received } = await here.receiver();
  const flows = new FlowProducer({ connection: world.client, prefix: 'o3q' });
  const worker = await startCrashWorker({
    settings: world.models,
    ...{ redisUrl: world.redis.url, prefix: 'o3q', concurrency: 4 * PARENTS },
    ...{ upstream: { apiKey: 'sk-test', baseUrl: world.gate.url }, recovery: QUICK_RECOVERY },
    runsOutOfLocks: false,
  });
  try {
    const parents: string[] = [];
    for (let number = 0; number < PARENTS; number += 1) {
      const name = `What if its worker dies, number ${number}?`;
      const malformed = { name: 'child', queueName: '{o3}', data: {}, opts: { failParentOnFailure: true } };
      const { job } = await flows.add({
        ...{ name, queueName: '{o3}', data: { question: name }, opts: { webhook: url } as object },
        children: [malformed],
      });
      parents.push(String(job.id));
    }
    // The worker holds one parent at each place, so that one of them is held at this one.
    const held = await eventually(() => {
      const number = parents.findIndex((_id, i) => worker.isHeld(i) && worker.trail(i).at(-1) === DIES_AT);
      expect({ number, trails: parents.map((_id, i) => worker.trail(i)) }).not.toMatchObject({ number: -1 });
      return number;
    }, RECOVERED_MS);
    await worker.kill();
    const id = String(parents[held]);
    const job = await world.model().bullmq.getJob(id);
    expect(await job?.getState()).toBe('failed');
    expect(received).toEqual([]);

    world.addWorker({ webhooksOut: { secret: CALLERS_SECRET } });
    const error = {
      code: 'child_failed',
      message: expect.stringMatching(/^child job \S+ failed: invalid_request: .*got neither/),
    };
    await eventually(() => {
      const ends = received.map((webhook) => eventIn(webhook)).filter(({ data }) => data.id === id);
      expect(ends).toMatchObject([{ data: { status: 'failed', error } }]);
    }, RECOVERED_MS);
    expect(await world.queue.get(id)).toMatchObject({ status: 'failed', purchases: 0, error });
    expect((await world.queue.list({ error: 'child_failed' })).jobs.map((each) => each.id)).toContain(id);
  } finally {
    await worker.kill();
    await flows.close();
  }
});
