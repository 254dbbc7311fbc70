import { Redis } from 'ioredis';
import { defaultModels, type ModelConfig, type TenantConfig } from '../../../src/config/file.ts';
import { parseJobRequest } from '../../../src/job/request.ts';
import { createModelQueue, type ModelQueue } from '../../../src/model-queue/model-queue.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { limitsOf } from '../../../src/quota/limits.ts';
import { createQuotas, type Quotas } from '../../../src/quota/quota.ts';
import { createTenantQuotas, type TenantQuotas } from '../../../src/quota/tenant-quota.ts';
import { createPriceList } from '../../../src/usage/price.ts';
import { createUsageStore } from '../../../src/usage/store.ts';
import { type Round, reserveAndStart } from '../../../worker/reservation/reserve.ts';
import { createTenantLimits, type TenantLimits } from '../../../worker/reservation/tenant-limits.ts';
import { createWindowChoice } from '../../../worker/windows/choice.ts';
import { startTestRedis, type TestRedis } from '../redis/redis-server.ts';

const TENANT: TenantConfig = {
  weight: 1,
  maxInFlight: undefined,
  dailyBudgetUsd: undefined,
  onBudgetExhausted: 'wait',
};

/**
 * DispatchWorld is the model o3 on a Redis without workers, whose jobs a test dispatches round by round. Its
 * fields are set by `start`.
 */
export interface DispatchWorld {
  redis: Redis;
  app: InstanceQueue;
  queue: ModelQueue;
  quotas: Quotas;
  tenantQuotas: TenantQuotas;
  /** Channels on which dispatchers were woken. */
  published: string[];
  /** Empties Redis, and configures the tenant alice and the model. */
  start(alice: Partial<TenantConfig>, model?: Partial<ModelConfig>): Promise<void>;
  /** Enqueues a job of a tenant, and returns its id. */
  ask(tenant: string, request?: Record<string, unknown>, options?: Record<string, unknown>): Promise<string>;
  /** A round of a dispatcher: of the next jobs, or of jobs that were the next ones before. */
  dispatch(jobs?: NextJobs): Promise<Round>;
  nextJobs(): Promise<NextJobs>;
  /** The jobs that were started, the first one first. */
  startedIds(): Promise<string[]>;
}

type NextJobs = Awaited<ReturnType<ModelQueue['fairQueue']['next']>>['jobs'];

/** useDispatchWorld starts a Redis for the tests of a file. */
export function useDispatchWorld(): DispatchWorld {
  const world = {} as DispatchWorld;
  let server: TestRedis;
  let subscriber: Redis;
  let tenantLimits: TenantLimits;

  beforeAll(async () => {
    server = await startTestRedis();
    world.redis = new Redis(server.url);
    subscriber = new Redis(server.url);
    subscriber.on('message', (channel) => world.published.push(channel));
  });
  afterEach(async () => {
    await world.app.close();
    await world.queue.bullmq.close();
  });
  afterAll(async () => {
    world.redis.disconnect();
    subscriber.disconnect();
    await server.stop();
  });

  return Object.assign(world, {
    async start(alice, model = {}) {
      const { redis } = world;
      await redis.flushall();
      world.published = [];
      const { models: known, compressAboveKb } = defaultModels();
      if (known['o3'] === undefined) throw new Error('a model o3 was expected');
      const models = { o3: { ...known['o3'], completionWindows: { '2h': 0.3, '8h': 0.4 }, ...model } };
      const tenants = { alice: { ...TENANT, ...alice } };
      world.app = new InstanceQueue({ redisUrl: server.url, models, tenants });
      world.queue = createModelQueue(redis, 'o3q', 'o3', { models, tenants, compressAboveKb }, () => {});
      world.quotas = createQuotas(redis, 'o3q');
      const tenantQuotas = createTenantQuotas(redis, 'o3q');
      world.tenantQuotas = tenantQuotas;
      const usage = createUsageStore(redis, 'o3q', ['o3']);
      tenantLimits = createTenantLimits({
        ...{
          settings: { tenants },
          tenantQuotas,
          prices: createPriceList({ prices: {} }),
          usage,
          now: () => Date.now(),
        },
        isSimulated: () => false,
      });
      await subscriber.subscribe(tenantQuotas.channel);
    },

    async ask(tenant, request = {}, options = {}) {
      const {
        job: { id },
      } = await world.app.as({ tenant, admin: false }).enqueue(
        parseJobRequest({
          request: { input: 'A question of forty letters, more or less.', ...request },
          ...options,
        }),
      );
      return id;
    },

    async dispatch(jobs) {
      const { config, upstreamModels, fairQueue } = world.queue;
      const sources = upstreamModels.map((name) => ({
        name,
        quota: world.quotas.of(name),
        limits: limitsOf({ o3: config }, name, config),
        windows: createWindowChoice(config, name, () => Date.now()),
      }));
      return reserveAndStart(jobs ?? (await world.nextJobs()), {
        model: 'o3',
        fairQueue,
        tenantLimits,
        sources,
        discounts: config.completionWindows,
        ownPausedTenants: new Set(),
      });
    },

    nextJobs: async () => (await world.queue.fairQueue.next(32)).jobs,
    startedIds: async () => (await world.redis.lrange('o3q:{o3}:wait', 0, -1)).toReversed(),
  } satisfies Partial<DispatchWorld>);
}
