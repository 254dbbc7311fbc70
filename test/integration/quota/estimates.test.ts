import { RetryableError } from '../../../src/errors/failure.ts';
import type { UpstreamResponse } from '../../../src/responses/response.ts';
import type { UsageSpent } from '../../../src/run/record.ts';
import type { Spent } from '../../../src/run/spent.ts';
import { createPriceList } from '../../../src/usage/price.ts';
import { createUsageStore } from '../../../src/usage/store.ts';
import { daysBefore, utcDay } from '../../../src/usage/utc-day.ts';
import { receiveWebhook, webhookKeysOf } from '../../../src/webhooks/openai-events.ts';
import { drainEstimates } from '../../../worker/maintenance/estimates.ts';
import { useRecordWorld } from '../../support/worlds/record-world.ts';

/** All that there is, also when midnight is in between. */
const RANGE = { to: daysBefore(utcDay(Date.now()), -1) };

describe('an estimate', () => {
  const world = useRecordWorld();

  const estimate = {
    ...{ inputTokens: 100, outputTokens: 900, isOpen: true, headers: {}, discount: 0 },
    cost: { nano: 7_400_000, listNano: 7_400_000, isEstimated: false },
  };
  const lost = (responseId = 'resp_1'): Spent => ({ responseId, usage: null, cost: null, estimate });
  const told: UpstreamResponse = {
    ...{ id: 'resp_1', status: 'cancelled', model: 'o3' },
    usage: { input_tokens: 10, output_tokens: 20, total_tokens: 30 },
  };
  const error = { code: 'timeout', message: 'too late', retryable: false } as const;
  const bought = {
    ...{ upstreamId: 'resp_1', upstreamStatus: 'queued', background: true, streamed: true },
    ...{ simulated: false, responseCreatedAt: Date.now() },
  };
  const COST_NANO = 10 * 2000 + 20 * 8000;
  const COST = { nano: COST_NANO, listNano: COST_NANO, isEstimated: false };

  const totals = async () => (await world.queue.usage(RANGE)).total;
  /** The output tokens of the responses that the drains have counted for the metrics. */
  let counted: number[] = [];
  beforeEach(() => {
    counted = [];
  });
  /** Makes every estimate due, and runs the drain against an upstream that answers so. */
  async function drain(answer: UpstreamResponse | Error, { due = true } = {}): Promise<string[]> {
    const { redis, o3 } = world;
    const asked: string[] = [];
    const ids = await redis.zrange(o3.keys.estimatesDue, '0', '-1');
    if (due) for (const id of ids) await redis.zadd(o3.keys.estimatesDue, 0, id);
    const retrieve = async (id: string): Promise<UpstreamResponse> => {
      asked.push(id);
      if (answer instanceof Error) throw answer;
      return answer;
    };
    const upstream = { withHeaders: () => ({ retrieve }) };
    const onSpent = ({ usage }: UsageSpent): void => void counted.push(usage.output_tokens);
    await drainEstimates(o3, {
      redis,
      prefix: 'o3q',
      upstream,
      prices: createPriceList({ prices: {} }),
      onSpent,
    });
    return asked;
  }
  const isKept = async (id = 'resp_1') => (await world.redis.hexists(world.o3.keys.estimates, id)) === 1;

  it('is booked once, and replaced once by what a look-up says', async () => {
    const { id, writer } = await world.begun();
    for (const _ of ['once', 'and again, after a lost reply'])
      await writer.finish({ status: 'cancelled', spent: lost() });
    expect(await totals()).toMatchObject({
      ...{ requests: 1, input_tokens: 100, output_tokens: 900, cost_usd: 0.0074 },
      ...{ estimated_requests: 1, estimated_usd: 0.0074, unpriced_requests: 0 },
    });
    expect(await world.queue.get(id)).toMatchObject({ cost_usd: 0.0074, cost_estimated: true });

    // Two workers at once.
    await Promise.all([drain(told), drain(told)]);
    await drain(told);
    expect(counted).toEqual([20]);
    const corrected = {
      ...{ requests: 1, input_tokens: 10, output_tokens: 20, cost_usd: COST_NANO / 1e9 },
      ...{ estimated_requests: 0, estimated_usd: 0, unpriced_requests: 0 },
    };
    expect(await totals()).toMatchObject(corrected);
    expect(await world.queue.get(id)).toMatchObject({
      ...{ cost_usd: COST_NANO / 1e9, cost_estimated: false },
      usage: { input_tokens: 10, output_tokens: 20 },
    });
    // The worker that sent the cancel learns the usage after that.
    await writer.finish({ status: 'cancelled', spent: lost() });
    expect(await totals()).toMatchObject(corrected);
    expect(await isKept()).toBe(false);
  });

  it('of a create follows the response, when its id arrives after the job has ended', async () => {
    const { id, writer } = await world.begun();
    await writer.markPurchase('p1');
    const spent = { ...lost(), responseId: undefined, estimate: { ...estimate, isOpen: false } };
    await writer.finish({ status: 'failed', error, spent });
    expect(await totals()).toMatchObject({ requests: 1, estimated_requests: 1, cost_usd: 0.0074 });
    for (const _ of ['once', 'and again, after a lost reply'])
      expect(await writer.storePurchase('p1', bought)).toBe('finished');
    expect(await world.queue.get(id)).toMatchObject({ purchases: 1, uncertain_purchases: 0 });

    // The worker cancels the response, and does not learn at once what it has cost.
    await writer.finish({ status: 'cancelled', spent: lost() });
    expect(await totals()).toMatchObject({ requests: 1, estimated_requests: 1, cost_usd: 0.0074 });
    expect(await drain(told)).toEqual(['resp_1']);
    expect(await totals()).toMatchObject({
      ...{ requests: 1, input_tokens: 10, output_tokens: 20, cost_usd: COST_NANO / 1e9 },
      ...{ estimated_requests: 0, estimated_usd: 0 },
    });
    expect(await world.queue.get(id)).toMatchObject({ status: 'failed', cost_usd: COST_NANO / 1e9 });
  });

  it('is replaced once by what the upstream says to the attempt itself', async () => {
    const { writer } = await world.begun();
    await writer.finish({ status: 'cancelled', spent: lost() });
    const usage = {
      ...{ input_tokens: 10, cached_tokens: 0, cache_write_tokens: 0 },
      ...{ output_tokens: 20, reasoning_tokens: 0, total_tokens: 30 },
    };
    for (const _ of ['once', 'and again, after a lost reply'])
      await writer.finish({
        status: 'cancelled',
        spent: { responseId: 'resp_1', usage, cost: COST },
      });
    await drain(told);
    expect(await totals()).toMatchObject({
      ...{ requests: 1, output_tokens: 20, cost_usd: COST_NANO / 1e9, estimated_requests: 0 },
    });
  });

  it('books what a completion window has saved, and the correction corrects the saving', async () => {
    const { id, writer } = await world.begun();
    const cost = { nano: 4_440_000, listNano: 7_400_000, isEstimated: true };
    await writer.finish({
      status: 'cancelled',
      spent: { ...lost(), estimate: { ...estimate, cost, discount: 0.4 } },
    });
    expect(await totals()).toMatchObject({
      ...{ cost_usd: 0.00444, list_usd: 0.0074, saved_usd: 0.00296 },
      ...{ estimated_requests: 1, estimated_usd: 0.00444 },
    });
    expect(await world.queue.get(id)).toMatchObject({ cost_usd: 0.00444, saved_usd: 0.00296 });
    for (const _ of ['once', 'and again']) await drain(told);
    const nano = COST_NANO * 0.6;
    const saved = { list_usd: COST_NANO / 1e9, saved_usd: (COST_NANO - nano) / 1e9 };
    // The usage is known now. The discount still is what was asked for.
    expect(await totals()).toMatchObject({
      ...{ requests: 1, cost_usd: nano / 1e9, ...saved },
      ...{ estimated_requests: 1, estimated_usd: nano / 1e9 },
    });
    expect(await world.queue.get(id)).toMatchObject({ cost_usd: nano / 1e9, ...saved, cost_estimated: true });
  });

  it('is no estimate of the usage when only the price is one', async () => {
    const { id, writer } = await world.begun();
    const usage = {
      ...{ input_tokens: 10, cached_tokens: 0, cache_write_tokens: 0 },
      ...{ output_tokens: 20, reasoning_tokens: 0, total_tokens: 30 },
    };
    const cost = { nano: 126_000, listNano: COST_NANO, isEstimated: true };
    for (const _ of ['once', 'and again, after a lost reply'])
      await writer.finish({ status: 'cancelled', spent: { responseId: 'resp_1', usage, cost } });
    expect(await totals()).toMatchObject({
      ...{ requests: 1, cost_usd: cost.nano / 1e9, list_usd: COST_NANO / 1e9 },
      ...{ estimated_requests: 1, estimated_usd: cost.nano / 1e9 },
    });
    expect(await world.queue.get(id)).toMatchObject({ cost_estimated: true, usage: { input_tokens: 10 } });
    expect(await isKept()).toBe(false);
    expect(await drain(told)).toEqual([]);
  });

  it('of an earlier attempt is replaced although another response was booked since', async () => {
    const { id, writer } = await world.begun();
    await writer.save({ upstreamId: undefined }, lost());
    await writer.finish({ status: 'cancelled', spent: lost('resp_2') });
    expect(await totals()).toMatchObject({ requests: 2, estimated_requests: 2 });
    expect(await drain(told)).toEqual(expect.arrayContaining(['resp_1', 'resp_2']));
    expect(await totals()).toMatchObject({ requests: 2, estimated_requests: 0, output_tokens: 40 });
    expect(await world.queue.get(id)).toMatchObject({
      cost_usd: (2 * COST_NANO) / 1e9,
      cost_estimated: false,
    });
  });

  it('counts as spent, and its correction lowers the day on which it was booked', async () => {
    const { redis, o3 } = world;
    const { writer } = await world.begun();
    await writer.finish({ status: 'cancelled', spent: lost() });
    const usage = createUsageStore(redis, 'o3q', ['o3']);
    expect(await usage.spentToday('')).toBe(estimate.cost.nano);
    const [today] = await redis.keys('o3q:usage:{o3}:*');
    const past = daysBefore(utcDay(Date.now()), 3);
    await redis.rename(today ?? '', `o3q:usage:{o3}:${past}`);
    const kept = JSON.parse((await redis.hget(o3.keys.estimates, 'resp_1')) ?? '{}') as object;
    await redis.hset(o3.keys.estimates, 'resp_1', JSON.stringify({ ...kept, day: past }));
    await drain(told);
    expect((await world.queue.usage({ from: past, to: past })).total).toMatchObject({ output_tokens: 20 });
    expect(await usage.spentToday('')).toBe(0);
  });

  it('is corrected after its job was deleted', async () => {
    const { id, writer } = await world.begun();
    await writer.finish({ status: 'cancelled', spent: lost() });
    await world.redis.del(world.o3.keys.run(id));
    await drain(told);
    expect(await totals()).toMatchObject({ output_tokens: 20, estimated_requests: 0 });
    expect(await world.redis.exists(world.o3.keys.run(id))).toBe(0);
  });

  it('stays until the upstream tells the usage, and for good once the response has ended without it', async () => {
    const { redis, o3 } = world;
    const { writer } = await world.begun();
    await writer.finish({ status: 'cancelled', spent: lost() });
    const since = async (ageMs: number): Promise<void> => {
      const kept = JSON.parse((await redis.hget(o3.keys.estimates, 'resp_1')) ?? '{}') as object;
      const changed = { ...kept, since: String(Date.now() - ageMs) };
      await redis.hset(o3.keys.estimates, 'resp_1', JSON.stringify(changed));
    };
    await drain({ id: 'resp_1', status: 'in_progress' });
    await since(3_600_000);
    await drain(new RetryableError('upstream_error', 'down'));
    // Not due again for an hour.
    expect(await drain(told, { due: false })).toEqual([]);
    expect(await isKept()).toBe(true);
    await drain({ id: 'resp_1', status: 'cancelled' });
    expect(await isKept()).toBe(false);
    expect(await totals()).toMatchObject({ estimated_requests: 1, output_tokens: 900 });
  });

  it('is looked up at once after a webhook of OpenAI', async () => {
    const { writer } = await world.begun();
    await writer.finish({ status: 'cancelled', spent: lost() });
    expect(await drain(told, { due: false })).toEqual([]);
    await receiveWebhook(world.redis, webhookKeysOf('o3q'), 'wh_1', 'resp_1');
    expect(await drain(told, { due: false })).toEqual(['resp_1']);
    expect(await totals()).toMatchObject({ estimated_requests: 0 });
  });

  it('lent to a worker that dies is due again', async () => {
    const { redis, o3 } = world;
    const { writer } = await world.begun();
    await writer.finish({ status: 'cancelled', spent: lost() });
    await expect(drain(new Error('killed'))).rejects.toThrow('killed');
    expect(Number(await redis.zscore(o3.keys.estimatesDue, 'resp_1'))).toBeGreaterThan(Date.now());
    await drain(told);
    expect(await totals()).toMatchObject({ estimated_requests: 0, output_tokens: 20 });
  });
});
