import { setTimeout as sleep } from 'node:timers/promises';
import type { GiveBackTarget } from '../../../src/fair-queue/fair-queue.ts';
import { enqueue, viewOf } from '../../support/http/http-calls.ts';
import { useIdleWorld } from '../../support/worlds/idle-world.ts';

const world = useIdleWorld();

const TARGETS: GiveBackTarget[] = [
  { kind: 'first' },
  { kind: 'fair-queue' },
  { kind: 'delayed', dueAt: Date.now() + 3_600_000, failedReason: 'a reset' },
];

describe.each(TARGETS)('a worker that gives a job back ($kind)', (target) => {
  const queuedJob = (id: string) => ({
    id,
    tenant: '',
    createdAt: Date.now(),
    priority: 0,
    deadlineAt: undefined,
  });

  it('keeps a job that was cancelled before, to end it', async () => {
    const { id } = await enqueue(world.instance.url, { question: 'Before?' });
    const { token } = await world.take(id);
    expect(await world.cancel(id)).toMatchObject({ status: 202 });
    expect(await world.o3.fairQueue.giveBack(queuedJob(id), token, target)).toBe('cancel-requested');
    expect(await viewOf(world.instance.url, id)).toMatchObject({ status: 'active', cancelling: true });
    expect(await world.redis.get(world.o3.keys.lock(id))).toBe(token);
  });

  it('leaves a job that is cancelled after that to the cancel, which ends it', async () => {
    const { id } = await enqueue(world.instance.url, { question: 'After?' });
    const { token } = await world.take(id);
    expect(await world.o3.fairQueue.giveBack(queuedJob(id), token, target)).toBe('ok');
    expect(await world.cancel(id)).toMatchObject({ status: 200, body: { status: 'cancelled' } });
    expect((await world.queue.list({ status: 'cancelled' })).jobs).toMatchObject([{ id }]);
    expect(await world.o3.bullmq.getJobCounts()).toMatchObject({
      failed: 1,
      active: 0,
      delayed: 0,
      waiting: 0,
    });
  });

  it('misses no cancel when both come at once', async () => {
    const { token, worker } = await world.take(
      (await enqueue(world.instance.url, { question: 'At once 0?' })).id,
    );
    for (let i = 1; i <= 50; i += 1) {
      const { id } = await enqueue(world.instance.url, { question: `At once ${i}?` });
      await worker.take(token);
      const giveBack = () => world.o3.fairQueue.giveBack(queuedJob(id), token, target);
      const [answer, { outcome }] = await Promise.all(
        i % 2 === 0
          ? [giveBack(), world.queue.cancel(id)]
          : [giveBack(), sleep(i / 50).then(() => world.queue.cancel(id))],
      );
      expect([answer, outcome]).toEqual(answer === 'ok' ? ['ok', 'cancelled'] : ['cancel', 'cancelling']);
    }
  });

  it('does nothing when another worker has the job', async () => {
    const { id } = await enqueue(world.instance.url, { question: 'Whose?' });
    const { token } = await world.take(id);
    expect(await world.o3.fairQueue.giveBack(queuedJob(id), 'another token', target)).toBe('lock-lost');
    expect(await world.redis.get(world.o3.keys.lock(id))).toBe(token);
    expect(await world.o3.bullmq.getJobState(id)).toBe('active');
  });
});
