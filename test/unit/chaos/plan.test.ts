import { disturbanceCounts, planStorm } from '../../../chaos/crashes/storm-plan.ts';
import { takeoversAfter } from '../../../chaos/crashes/takeovers.ts';
import { FAULT_PLANS } from '../../../chaos/fleet/job-plan.ts';
import { createWiretap } from '../../../chaos/fleet/wiretap.ts';
import { FAULT_NAMES } from '../../../simulator/faults/faults.ts';
import { parseJobRequest } from '../../../src/job/request.ts';

const SIZE = { durationMs: 180_000, jobs: 300, workers: 3, webhooks: true, counts: disturbanceCounts(3) };

test('planStorm makes the same plan for the same seed, and another one for another seed', () => {
  expect(planStorm(7, SIZE)).toEqual(planStorm(7, SIZE));
  expect(planStorm(8, SIZE)).not.toEqual(planStorm(7, SIZE));
});

test('a storm plans every fault of the simulator, and only requests that a producer accepts', () => {
  expect(Object.keys(FAULT_PLANS).toSorted()).toEqual([...FAULT_NAMES].toSorted());
  for (const { request } of planStorm(7, SIZE).jobs) expect(parseJobRequest(request)).toEqual(request);
});

test('every disturbance happens as often as planned, and Redis is never killed while it is dead', () => {
  const { disturbances } = planStorm(7, SIZE);
  const counts = Object.keys(SIZE.counts).map((kind) => [
    kind,
    disturbances.filter((one) => one.kind === kind).length,
  ]);
  expect(Object.fromEntries(counts)).toEqual(SIZE.counts);
  let backAt = 0;
  for (const one of disturbances) {
    if (one.kind !== 'redis killed') continue;
    expect(one.atMs).toBeGreaterThanOrEqual(backAt);
    backAt = one.atMs + one.forMs;
  }
});

describe('a takeover', () => {
  const bought = { at: 100, worker: 'worker-1', jobId: 'job_1' };
  const adopted = { at: 9000, worker: 'worker-2', jobId: 'job_1' };
  const departure = { worker: 'worker-1', at: 1000 };
  const endedAt = () => 9500;

  it('a takeover lasts until another worker has the job', () => {
    expect(takeoversAfter([departure], [bought, adopted], endedAt)).toEqual([
      { jobId: 'job_1', from: 'worker-1', afterMs: 8000 },
    ]);
  });

  it('a job that no worker takes over is reported without a time', () => {
    expect(takeoversAfter([departure], [bought], endedAt)).toEqual([
      { jobId: 'job_1', from: 'worker-1', afterMs: undefined },
    ]);
  });

  it('a job that has ended, or that another worker holds, needs no takeover', () => {
    expect(takeoversAfter([departure], [bought], () => 900)).toEqual([]);
    expect(takeoversAfter([departure], [bought, { ...adopted, at: 500 }], endedAt)).toEqual([]);
  });

  it('the wiretap reports a job only when another worker gets it', () => {
    const { on, pickups } = createWiretap();
    on('worker-1').onReceived(Buffer.from('$36\r\njob_0a\r\n:0\r\n'));
    on('worker-1').onSent(Buffer.from('o3q:{o3}:job_0a:lock\r\no3q:run:{o3}:job_0b'));
    on('worker-1').onReceived(Buffer.from('*2\r\n$36\r\njob_0c\r\n$36\r\njob_0d\r\n'));
    on('worker-2').onSent(Buffer.from('o3q:{o3}:job_0a:lock'));
    expect(pickups.map(({ worker, jobId }) => [worker, jobId])).toEqual([
      ['worker-1', 'job_0a'],
      ['worker-2', 'job_0a'],
    ]);
  });
});
