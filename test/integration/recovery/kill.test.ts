import { createHash, randomBytes } from 'node:crypto';
import { simulatedAnswer } from '../../../simulator/response/answer.ts';
import { eventually } from '../../support/eventually.ts';
import { CANCELS } from '../../support/openai/upstream-gate.ts';
import { startWorkerChild, type WorkerChild } from '../../support/worker/worker-child.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

/** Room for a lock to run out and for two looks for stalled jobs, on a busy machine. */
const RECOVERED_MS = 60_000;

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
/** A long question is answered with its digest, which says what has arrived. */
const answer = (question: Parameters<typeof simulatedAnswer>[0]): string =>
  question.text.length > 1000 ? digest(question.text) : simulatedAnswer(question);

describe('a worker that is killed in the middle of its jobs', () => {
  let world: WorkerWorld;
  let child: WorkerChild;
  beforeEach(async () => {
    world = await startWorkerWorld({ workers: 0, simulator: { answer } });
    child = await startWorkerChild(world);
  });
  afterEach(async () => {
    await child.kill();
    await world.stop();
  });

  it('costs nothing: another one adopts its responses, finished or not', async () => {
    const jobs = await Promise.all(
      Array.from({ length: 24 }, (_, i) =>
        world.ask(
          `Adopted ${i}?`,
          // Some are finished before anybody comes to look, some stream on, some are polled.
          { sim_think_ms: i % 3 === 0 ? '1500' : '4000', sim_deltas: '20' },
          { stream: i % 2 === 0 },
        ),
      ),
    );
    const bought = await Promise.all(jobs.map(({ id }) => world.purchased(id)));
    await child.kill();
    world.addWorker();
    for (const [i, { id }] of jobs.entries()) {
      const job = await world.finished(id, RECOVERED_MS);
      expect(job).toMatchObject({ status: 'completed', attempt: 1, upstream_id: bought[i]?.upstream_id });
      expect(await world.answer(id)).toContain(`Adopted ${i}?`);
    }
    expect(world.simulator.ledger.totals()).toMatchObject({ purchases: 24, completed: 24, cancels: 0 });
  });

  it('costs nothing for a request of 10 MB, which the upstream gets once, whole', async () => {
    const question = randomBytes(7_500_000).toString('base64');
    const { id } = await world.ask(question, { sim_think_ms: '2000' });
    await world.running(id);
    await child.kill();
    world.addWorker();
    const job = await world.finished(id, RECOVERED_MS);
    expect(job).toMatchObject({ status: 'completed', attempt: 1, purchases: 1, uncertain_purchases: 0 });
    expect(await world.answer(id)).toBe(digest(question));
    const { request } = await world.queue.inspect(id);
    expect(digest(String(request['input']))).toBe(digest(question));
    expect(world.simulator.ledger.totals()).toMatchObject({ purchases: 1, completed: 1, cancels: 0 });
  });

  it('leaves cancelled jobs cancelled, and the next worker tells the upstream', async () => {
    const { id } = await world.ask('Stop?', { sim_think_ms: '60000' });
    await world.running(id);
    world.gate.shut(CANCELS);
    await world.queue.cancel(id);
    expect(await world.finished(id)).toMatchObject({ status: 'cancelled' });
    await child.kill();
    world.gate.open();
    world.addWorker();
    await eventually(async () => {
      expect(await world.model().bullmq.getJobState(id)).toBe('failed');
    }, RECOVERED_MS);
    expect(await world.queue.get(id)).toMatchObject({ status: 'cancelled' });
    expect(world.bought('Stop?')).toMatchObject([{ state: 'cancelled' }]);
    expect(world.simulator.ledger.totals().cancels).toBe(2);
  });

  it('does not shorten the wait of a job that was throttled', async () => {
    const askedAt = Date.now();
    const { id } = await world.ask('Later?', { sim: '429', sim_times: '1', sim_retry_after_ms: '4000' });
    await eventually(async () =>
      expect(await world.queue.get(id)).toMatchObject({
        status: 'waiting',
        waiting_for: expect.stringContaining('rate limit until'),
      }),
    );
    await child.kill();
    world.addWorker();
    expect(await world.finished(id, RECOVERED_MS)).toMatchObject({ status: 'completed', attempt: 1 });
    const [bought] = world.bought('Later?');
    expect(bought?.created_at).toBeGreaterThanOrEqual(askedAt + 4000);
  });
});
