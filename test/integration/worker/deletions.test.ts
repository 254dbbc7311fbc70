import { parseJobRequest } from '../../../src/job/request.ts';
import { MOST_DELETIONS } from '../../../src/lua/deletions.ts';
import { sweepRetention } from '../../../worker/maintenance/retention.ts';
import { eventually } from '../../support/eventually.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

const HOUR_MS = 3_600_000;
const DELETES = ({ method }: { method: string }): boolean => method === 'DELETE';

describe('a deleted job', () => {
  let world: WorkerWorld;
  beforeEach(async () => {
    world = await startWorkerWorld();
  });
  afterEach(() => world.stop());

  const finished = async (question: string, ...more: [Record<string, string>?, object?]): Promise<string> => {
    const { id } = await world.ask(question, ...more);
    await world.finished(id);
    return id;
  };
  const stillWanted = () => world.client.zcard(world.keys.deletions);
  const expectNothingWanted = () => eventually(async () => expect(await stillWanted()).toBe(0));
  const expectDeleted = (question: string, count = 1) =>
    eventually(() =>
      expect(world.bought(question).map(({ deleted_at }) => deleted_at)).toEqual(
        Array(count).fill(expect.any(Number)),
      ),
    );

  it('takes its response with it at the upstream', async () => {
    const [gone, kept] = [await finished('Gone?'), await finished('Kept?')];
    await world.queue.delete(gone);
    await expectDeleted('Gone?');
    await expectNothingWanted();
    expect(world.bought('Kept?')).toMatchObject([{ deleted_at: null }]);
    expect(await world.queue.get(kept)).toMatchObject({ status: 'completed' });
  });

  it('takes the responses of all its attempts and all its runs with it', async () => {
    const id = await finished('How often?', { sim: 'failed', sim_times: '3' }, { max_attempts: 2 });
    await world.queue.retry(id);
    expect(await world.finished(id)).toMatchObject({ status: 'completed', purchases: 4 });
    await world.queue.delete(id);
    await expectDeleted('How often?', 4);
  });

  it('is deleted at the upstream under the headers of the job', async () => {
    const upstream_headers = { 'openai-beta': 'a=v1', 'openai-project': 'proj_red' };
    await world.queue.delete(await finished('Whose?', {}, { upstream_headers }));
    await expectDeleted('Whose?');
    expect(world.gate.calls.find(DELETES)?.headers).toMatchObject(upstream_headers);
  });

  it('that asked for store: false has nothing to delete', async () => {
    const { job } = await world.queue.enqueue(
      parseJobRequest({ request: { input: 'Not stored?', store: false } }),
    );
    await world.finished(job.id);
    await world.queue.delete(job.id);
    await world.queue.delete(await finished('Stored?'));
    await expectDeleted('Stored?');
    expect(world.simulator.ledger.totals()).toMatchObject({ deletes: 1 });
  });

  it('is deleted at the upstream by the next worker, when none runs', async () => {
    const id = await finished('Deleted later?');
    await stopAll();
    await world.queue.delete(id);
    expect(await stillWanted()).toBe(1);
    expect(await world.client.ttl(world.keys.deletions)).toBeGreaterThan(0);
    world.addWorker();
    await expectDeleted('Deleted later?');
    await expectNothingWanted();
  });

  it('is deleted at the upstream when that is in reach again', async () => {
    const id = await finished('Away?');
    world.simulator.setWeather({ down: true });
    await world.queue.delete(id);
    await eventually(async () =>
      expect(await world.workers[0]?.metrics.text()).toMatch(/deletions_total{result="failed"} [1-9]/),
    );
    expect(await stillWanted()).toBe(1);
    world.simulator.setWeather({ down: false });
    await makeDue();
    world.addWorker();
    await expectDeleted('Away?');
    await expectNothingWanted();
  });

  it('is deleted again, without harm, when a worker dies between the delete and its note of it', async () => {
    const id = await finished('Twice?');
    world.gate.shut(DELETES);
    await world.queue.delete(id);
    await world.gate.holding(1);
    await expectDeleted('Twice?');
    await stopAll();
    expect(await stillWanted()).toBe(1);
    world.gate.open();
    // As after the minute for which the dead worker had it.
    await makeDue();
    const next = world.addWorker();
    await expectNothingWanted();
    expect(await next.metrics.text()).toContain('o3q_upstream_deletions_total{result="missing"} 1');
  });

  it('is tried by one worker at a time', async () => {
    const id = await finished('By one?');
    world.addWorker();
    world.addWorker();
    world.gate.shut(DELETES);
    await world.queue.delete(id);
    await world.gate.holding(1);
    await world.client.publish(world.keys.deletions, '');
    await world.queue.delete(await finished('And another?'));
    await world.gate.holding(2);
    expect(world.gate.calls.filter(DELETES)).toHaveLength(2);
    world.gate.open();
    await expectNothingWanted();
  });

  it('whose response still runs has it cancelled first', async () => {
    const running = await fetch(`${world.upstreamUrl}/responses`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer sk-test' },
      body: JSON.stringify({
        model: 'o3',
        input: 'Runs on?',
        background: true,
        metadata: { sim_think_ms: '60000' },
      }),
    });
    await want(((await running.json()) as { id: string }).id, Date.now());
    await eventually(() => expect(world.bought('Runs on?')).toMatchObject([{ state: 'cancelled' }]));
    await eventually(async () => {
      await makeDue();
      await world.client.publish(world.keys.deletions, '');
      expect(world.bought('Runs on?')).toMatchObject([{ deleted_at: expect.any(Number) }]);
    });
    await expectNothingWanted();
  });

  it('is given up after a day, and one log line says so', async () => {
    world.addWorker();
    world.simulator.setWeather({ down: true });
    await want('resp_never', Date.now() - 25 * HOUR_MS);
    await expectNothingWanted();
    const said = world.logLines.filter((line) => line.includes('giving up on deleting a response'));
    expect(said).toEqual([expect.stringContaining('resp_never')]);
  });

  it('finds a server that keeps no responses, and is not tried again', async () => {
    const minimal = await startWorkerWorld({ simulator: { background: 'rejected' } });
    try {
      const { id } = await minimal.ask('Kept nowhere?');
      await minimal.finished(id);
      await minimal.queue.delete(id);
      await eventually(async () => {
        expect(await minimal.client.zcard(minimal.keys.deletions)).toBe(0);
        expect(await minimal.workers[0]?.metrics.text()).toContain('{result="missing"} 1');
      });
    } finally {
      await minimal.stop();
    }
  });

  it('replaces the oldest deletion when too many wait', async () => {
    const id = await finished('One more?');
    await stopAll();
    await world.client.eval(
      `for i = 1, ${MOST_DELETIONS} do redis.call('ZADD', KEYS[1], i, 'old ' .. i) end`,
      1,
      world.keys.deletions,
    );
    await world.queue.delete(id);
    expect(await stillWanted()).toBe(MOST_DELETIONS);
    expect(await world.client.zscore(world.keys.deletions, 'old 1')).toBeNull();
    expect(await world.client.zrange(world.keys.deletions, '-1', '-1')).toEqual([
      expect.stringContaining('resp_'),
    ]);
    await world.client.del(world.keys.deletions);
  });

  it('of which only the retention is over stays at the upstream', async () => {
    await finished('Old?');
    expect(await sweepRetention(world.client, world.model(), { completedHours: 0, failedHours: 0 })).toBe(1);
    await world.queue.delete(await finished('Deleted?'));
    await expectDeleted('Deleted?');
    expect(world.bought('Old?')).toMatchObject([{ deleted_at: null }]);
  });

  async function stopAll(): Promise<void> {
    await Promise.all([...world.workers].map((worker) => world.stopWorker(worker)));
  }
  /** Makes a deletion as the script does that deletes a job. */
  async function want(responseId: string, since: number): Promise<void> {
    await world.client.zadd(world.keys.deletions, '0', JSON.stringify([responseId, String(since), '{}']));
    await world.client.publish(world.keys.deletions, '');
  }
  async function makeDue(): Promise<void> {
    for (const member of await world.client.zrange(world.keys.deletions, '0', '-1'))
      await world.client.zadd(world.keys.deletions, 'XX', '0', member);
  }
});
