import { collectAnswers } from '../../../cli/batch/collector.ts';
import { createRetry } from '../../../cli/batch/retry.ts';
import { O3ClientError } from '../../../src/client/client-error.ts';
import type { ResultOutcome } from '../../../src/job/view.ts';
import { onFastClock } from '../../support/fast-clock.ts';
import { active, result } from '../../support/http/job-views.ts';

const never = new AbortController().signal;
const away = (code: string, options: { status?: number; retryAfterMs?: number } = {}) =>
  new O3ClientError(code, `it said ${code}`, options);

describe('createRetry', () => {
  it.each([
    ['instance_unreachable', {}],
    ['answer_lost', {}],
    ['redis_unavailable', { status: 503 }],
    ['too_many_requests', { status: 429 }],
    ['unexpected_response', { status: 502 }],
  ])('waits for a failure that ends by itself: %s', async (code, options) => {
    const said: string[] = [];
    let calls = 0;
    const retry = createRetry((text) => said.push(text), never);
    const call = async (): Promise<number> => {
      calls += 1;
      if (calls === 1) throw away(code, options);
      return calls;
    };
    const value = await onFastClock(() => retry(call));
    expect(value).toBe(2);
    expect(said).toEqual([`it said ${code}; trying again`, 'The instance answers again.']);
  });

  it('waits at least as long as Retry-After says', async () => {
    const retry = createRetry(() => {}, never);
    const times: number[] = [];
    const call = async (): Promise<void> => {
      times.push(performance.now());
      if (times.length === 1) throw away('too_many_requests', { status: 429, retryAfterMs: 900 });
    };
    await onFastClock(() => retry(call));
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(900);
  });

  it('says once why many calls wait', async () => {
    const said: string[] = [];
    const retry = createRetry((text) => said.push(text), never);
    const failing = async (_value: unknown, i: number) => {
      let calls = 0;
      await retry(async () => {
        calls += 1;
        if (calls === 1) throw away('instance_unreachable');
        return i;
      });
    };
    await onFastClock(() => Promise.all(Array.from({ length: 10 }, failing)));
    expect(said).toHaveLength(2);
  });

  it.each([
    ['unauthorized', { status: 401 }],
    ['job_not_found', { status: 404 }],
    ['unexpected_response', { status: 200 }],
    ['internal_error', { status: 500 }],
  ])('ends at once with a failure that no wait can end: %s', async (code, options) => {
    const retry = createRetry(() => {}, never);
    await expect(retry(() => Promise.reject(away(code, options)))).rejects.toMatchObject({ code });
  });

  it('ends when the batch is interrupted', async () => {
    const stop = new AbortController();
    const retry = createRetry(() => stop.abort(new Error('enough')), stop.signal);
    await expect(retry(() => Promise.reject(away('instance_unreachable')))).rejects.toThrow('enough');
  });
});

it('jobs that never end do not delay the answers of the others', async () => {
  const stop = new AbortController();
  const looks = new Map<string, number>();
  const client = {
    result(id: string, { timeoutMs = 0 }: { timeoutMs?: number } = {}): Promise<ResultOutcome> {
      looks.set(id, (looks.get(id) ?? 0) + 1);
      if (id.startsWith('quick')) return Promise.resolve({ status: 'completed', result });
      // As the instance does: it answers when the time is up.
      return new Promise((resolve) => {
        setTimeout(() => resolve({ status: 'active', job: active }), timeoutMs).unref();
      });
    },
  };
  const answered: string[] = [];
  await onFastClock(async () => {
    const collector = collectAnswers({
      client,
      retry: (call) => call(),
      window: { inUse: 300 },
      settle: async (_key, _origin, fate) => {
        if (fate.status === 'completed') answered.push(fate.id);
        if (answered.length === 20) stop.abort(new Error('all quick ones'));
      },
      signal: stop.signal,
    });
    const origin = { format: 'openai', customId: 'c' } as const;
    const add = (id: string) => collector.add({ key: { batch: '0', line: 1, hash: '0' }, origin, id });
    for (let i = 0; i < 280; i += 1) add(`slow-${i}`);
    for (let i = 0; i < 20; i += 1) add(`quick-${i}`);
    await expect(collector.ended).rejects.toThrow('all quick ones');
  });
  expect(new Set(answered).size).toBe(20);
  // All had their turn; none was asked again and again meanwhile.
  expect(looks.size).toBe(300);
  expect(Math.max(...looks.values())).toBeLessThanOrEqual(2);
});
