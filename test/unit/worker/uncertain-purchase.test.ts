import { RetryableError } from '../../../src/errors/failure.ts';
import { LockLostError } from '../../../src/run/purchase-hold.ts';
import { runRecordFrom } from '../../../src/run/record.ts';
import { PurchaseUncertainError } from '../../../worker/upstream/errors.ts';
import { ADOPTABLE, attemptOf, RUNNING } from '../../support/worker/scripted-attempt.ts';

describe('an uncertain purchase', () => {
  const purchaseMark = { fencingToken: 'purchase-0', at: Date.now(), sender: 'unknown' as const };
  const uncertain = new PurchaseUncertainError(new RetryableError('connection_lost', 'reset'));

  it('is counted when the job is bought again', async () => {
    const { run, done, purchases } = attemptOf({ purchaseMark: { ...purchaseMark, sender: 'gave-up' } });
    expect(await run()).toMatchObject({ kind: 'completed' });
    expect(done[0]).toBe('mark');
    expect(purchases).toEqual(['uncertain', 'bought']);
  });

  it('fails the job when that is the policy', async () => {
    const { run, done, purchases } = attemptOf({ purchaseMark }, {}, { onUncertain: 'fail' });
    expect(await run()).toMatchObject({ kind: 'failed', code: 'purchase_uncertain' });
    expect([done, purchases]).toEqual([['finish failed'], ['uncertain']]);
  });

  it('is adopted when its sender stores the id late', async () => {
    const { run, later, done, purchases } = attemptOf({ purchaseMark });
    const running = run();
    Object.assign(later, ADOPTABLE);
    expect(await running).toMatchObject({ kind: 'completed' });
    expect([done, purchases]).toEqual([['look', 'finish completed'], ['adopted']]);
  });

  it('is adopted when its sender stores the id just before another create', async () => {
    const record = { ...runRecordFrom([]), ...ADOPTABLE };
    const { run, done, purchases } = attemptOf(
      {},
      { markPurchase: async () => ({ kind: 'purchased', record }) },
    );
    expect(await run()).toMatchObject({ kind: 'completed' });
    expect([done, purchases]).toEqual([['mark', 'look', 'finish completed'], ['adopted']]);
  });

  it.each([
    ['just now', 0, 20_000],
    ['ten seconds ago', 10_000, 10_000],
    ['an hour ago', 3_600_000, 5000],
  ])(
    'of a dead worker, sent %s, waits for its webhook until `uncertainWaitMs` after the create',
    async (_, age, wait) => {
      const waits: number[] = [];
      const lostResponses = {
        findLostResponse: async (_token: string, { signal }: { signal: AbortSignal }) => {
          const since = Date.now();
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
          waits.push(Date.now() - since);
          return undefined;
        },
      };
      const mark = { ...purchaseMark, at: Date.now() - age, sender: 'dead' as const };
      const { run, purchases } = attemptOf(
        { purchaseMark: mark },
        { lostResponses },
        { uncertainWaitMs: 20_000 },
      );
      expect(await run()).toMatchObject({ kind: 'completed' });
      expect(purchases).toEqual(['uncertain', 'bought']);
      expect(waits).toHaveLength(1);
      // The clock of the test runs on between the making of the mark and the start of the attempt.
      expect(Math.abs((waits[0] ?? 0) - wait)).toBeLessThan(2000);
    },
  );

  it('keeps its mark for the next attempt, and is counted when there is none', async () => {
    const first = attemptOf({}, { create: uncertain });
    expect(await first.run()).toMatchObject({ kind: 'retry', failure: uncertain.failure });
    expect([first.done, first.purchases]).toEqual([['mark', 'create', 'save connection_lost'], []]);
    const careful = attemptOf({}, { create: uncertain }, { onUncertain: 'fail' });
    expect(await careful.run()).toMatchObject({ kind: 'failed', code: 'purchase_uncertain' });
    expect(careful.purchases).toEqual(['uncertain']);
    const last = attemptOf({ attempt: 3 }, { create: uncertain });
    expect(await last.run()).toMatchObject({ kind: 'failed', code: 'connection_lost' });
    expect(last.purchases).toEqual(['uncertain']);
  });
});

describe('a lost lock', () => {
  it('leaves a response whose id was stored to the worker that has the lock', async () => {
    const { run, done } = attemptOf({}, { store: () => Promise.reject(new LockLostError('job_1')) });
    expect(await run()).toEqual({ kind: 'lost' });
    expect(done).toEqual(['mark', 'create', 'store resp_1']);
  });

  it('cancels a response whose create was superseded by another', async () => {
    const { run, done } = attemptOf({}, { store: async () => 'superseded' });
    expect(await run()).toEqual({ kind: 'lost' });
    expect(done).toEqual(['mark', 'create', 'store resp_1', 'cancel']);
  });

  it('leaves an adopted response alone', async () => {
    const { run, active, done } = attemptOf(ADOPTABLE, { lookup: RUNNING });
    const running = run();
    active.interrupt('lock lost');
    expect(await running).toEqual({ kind: 'lost' });
    expect(done).not.toContain('cancel');
  });
});
