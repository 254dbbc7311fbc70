import { outboxEntries, passOn, takeOut } from '../../../src/webhooks/outbox.ts';
import { eventually } from '../../support/eventually.ts';
import { startWorkerChild } from '../../support/worker/worker-child.ts';
import {
  CALLERS_SECRET,
  type CallersWorld,
  eventIn,
  openCallersWorld,
} from '../../support/worlds/callers-world.ts';
import { QUICK_RECOVERY } from '../../support/worlds/worker-world.ts';

let here: CallersWorld;
beforeAll(async () => {
  here = await openCallersWorld();
});
afterAll(() => here.close());
afterEach(() => here.clear());

describe('the delivery of webhooks after a crash', () => {
  it('a job whose worker crashed before the delivery queue stays in the outbox for the next worker', async () => {
    const { url, received } = await here.receiver();
    const id = await here.cancelledJob(url);
    expect(await outboxEntries(here.world.client, here.world.model(), 10)).toMatchObject([{ id }]);
    expect(await here.deliveries.getJobCounts('waiting')).toEqual({ waiting: 0 });
    here.world.addWorker();
    expect(await here.settled()).toEqual({ completed: 1, failed: 0 });
    expect(received.map((webhook) => eventIn(webhook).data.id)).toEqual([id]);
  });

  it('a crash between the delivery queue and the outbox leads to one delivery', async () => {
    const { url, received } = await here.receiver();
    await here.cancelledJob(url);
    const [entry = { id: '', endedAt: '' }] = await outboxEntries(here.world.client, here.world.model(), 10);
    await passOn(
      {
        redis: here.world.client,
        queue: here.world.model(),
        deliveries: here.deliveries,
        maxAttempts: 1,
      },
      entry,
    );
    here.world.addWorker();
    expect(await here.settled()).toEqual({ completed: 1, failed: 0 });
    expect(received).toHaveLength(1);
  });

  it('another worker delivers a webhook under the same id when its worker crashed before the receiver answered', async () => {
    const { url, received } = await here.receiver((n) => (n === 0 ? 0 : 200));
    const dying = await startWorkerChild(here.world, {
      ...{ webhookSecret: CALLERS_SECRET, recovery: QUICK_RECOVERY },
    });
    try {
      await here.cancelledJob(url);
      await eventually(() => expect(received).toHaveLength(1));
    } finally {
      await dying.kill();
    }
    here.world.addWorker();
    expect(await here.settled()).toEqual({ completed: 1, failed: 0 });
    expect(received).toHaveLength(2);
    expect(received[1]?.body).toBe(received[0]?.body);
    expect(received[1]?.headers['webhook-id']).toBe(received[0]?.headers['webhook-id']);
  });

  it('a crash during a delivery and a new end of the same job lose neither webhook', async () => {
    const { url, received } = await here.receiver();
    const id = await here.cancelledJob(url);
    const [entry = { id: '', endedAt: '' }] = await outboxEntries(here.world.client, here.world.model(), 10);
    await passOn(
      {
        redis: here.world.client,
        queue: here.world.model(),
        deliveries: here.deliveries,
        maxAttempts: 1,
      },
      entry,
    );
    await eventually(() => expect(Date.now()).toBeGreaterThan(Number(entry.endedAt)));
    await here.world.queue.retry(id);
    await here.world.queue.cancel(id);
    await takeOut(here.world.client, here.world.model(), entry);
    here.world.addWorker();
    expect(await here.settled()).toEqual({ completed: 2, failed: 0 });
    expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(2);
  });

  it('a leaving worker gives back its deliveries without a crash', async () => {
    const { url, received } = await here.receiver((n) => (n === 0 ? 0 : 200));
    const worker = here.world.addWorker();
    await here.cancelledJob(url);
    await eventually(() => expect(received).toHaveLength(1));
    expect(await here.world.stopWorker(worker, 10_000)).toBe(true);
    expect(await here.deliveries.getJobCounts('waiting', 'active')).toEqual({ waiting: 1, active: 0 });
    here.world.addWorker();
    expect(await here.settled()).toEqual({ completed: 1, failed: 0 });
  });

  it('a leaving worker gives back a delivery that waits for a name server', async () => {
    const { url, received } = await here.receiver();
    let isAsked = false;
    const worker = here.world.addWorker({
      webhooksOut: {
        secret: CALLERS_SECRET,
        resolve: () => {
          isAsked = true;
          return new Promise(() => {});
        },
      },
    });
    await here.cancelledJob(url.replace('127.0.0.1', 'hook.test'));
    await eventually(() => expect(isAsked).toBe(true));
    expect(await here.world.stopWorker(worker, 10_000)).toBe(true);
    here.world.addWorker({ webhooksOut: { secret: CALLERS_SECRET, resolve: async () => ['127.0.0.1'] } });
    expect(await here.settled()).toEqual({ completed: 1, failed: 0 });
    expect(received).toHaveLength(1);
  });
});
