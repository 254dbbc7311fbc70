import { planStorm, weatherFor } from '../../../chaos/crashes/storm-plan.ts';
import { takeoversAfter } from '../../../chaos/crashes/takeovers.ts';
import { MISFORTUNES } from '../../../chaos/fleet/job-plan.ts';
import { createWiretap } from '../../../chaos/fleet/wiretap.ts';
import { FAULT_NAMES } from '../../../simulator/faults/faults.ts';
import { parseJobRequest } from '../../../src/job/request.ts';

const SIZE = { durationMs: 180_000, jobs: 300, workers: 3, webhooks: true, weather: weatherFor(3) };

test('the same seed is the same storm, another seed another', () => {
  expect(planStorm(7, SIZE)).toEqual(planStorm(7, SIZE));
  expect(planStorm(8, SIZE)).not.toEqual(planStorm(7, SIZE));
});

test('a storm knows every fault of the simulator, and asks only for what a producer takes', () => {
  expect(Object.keys(MISFORTUNES).toSorted()).toEqual([...FAULT_NAMES].toSorted());
  for (const { request } of planStorm(7, SIZE).jobs) expect(parseJobRequest(request)).toEqual(request);
});

test('every disturbance comes as often as the weather says, and Redis never dies twice at once', () => {
  const { disturbances } = planStorm(7, SIZE);
  const counts = Object.keys(SIZE.weather).map((kind) => [
    kind,
    disturbances.filter((one) => one.kind === kind).length,
  ]);
  expect(Object.fromEntries(counts)).toEqual(SIZE.weather);
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

  it('lasts until another worker has the job in hand', () => {
    expect(takeoversAfter([departure], [bought, adopted], endedAt)).toEqual([
      { jobId: 'job_1', from: 'worker-1', afterMs: 8000 },
    ]);
  });

  it('that nobody undertakes is seen', () => {
    expect(takeoversAfter([departure], [bought], endedAt)).toEqual([
      { jobId: 'job_1', from: 'worker-1', afterMs: undefined },
    ]);
  });

  it('is not needed for a job that has ended, or is in other hands', () => {
    expect(takeoversAfter([departure], [bought], () => 900)).toEqual([]);
    expect(takeoversAfter([departure], [bought, { ...adopted, at: 500 }], endedAt)).toEqual([]);
  });

  it('is told by what is said between workers and Redis, and only when the hands change', () => {
    const { on, contacts } = createWiretap();
    on('worker-1').onReceived(Buffer.from('$36\r\njob_0a\r\n:0\r\n'));
    on('worker-1').onSent(Buffer.from('o3q:{o3}:job_0a:lock\r\no3q:run:{o3}:job_0b'));
    on('worker-1').onReceived(Buffer.from('*2\r\n$36\r\njob_0c\r\n$36\r\njob_0d\r\n'));
    on('worker-2').onSent(Buffer.from('o3q:{o3}:job_0a:lock'));
    expect(contacts.map(({ worker, jobId }) => [worker, jobId])).toEqual([
      ['worker-1', 'job_0a'],
      ['worker-2', 'job_0a'],
    ]);
  });
});
