import { O3Client } from '../../../src/client/o3-client.ts';
import { defaultModels, type ModelConfig } from '../../../src/config/file.ts';
import type { ModelView } from '../../../src/models/view.ts';
import { daysBefore, utcDay } from '../../../src/usage/utc-day.ts';
import { startWorkerHealth, type WorkerHealth } from '../../../worker/health.ts';
import { call } from '../http/http-calls.ts';
import { type Instance, startInstance } from './instance.ts';

export const KEYS = { admin: 'the-secret-of-admin', alice: 'the-secret-of-alice' };
/** ADMIN is the header of the administrator. */
export const ADMIN = { authorization: `Bearer ${KEYS.admin}` };
const TODAY = utcDay(Date.now());
/** OVER and SOON are three days ago and in two days, so that a midnight during the tests changes nothing. */
export const OVER = daysBefore(TODAY, 3);
export const SOON = daysBefore(TODAY, -2);
const DAY_MS = 86_400_000;

function aliases(): Record<string, ModelConfig> {
  const { o3 } = defaultModels().models;
  if (o3 === undefined) throw new Error('expected o3');
  const sold = (upstream: string, ...fallbacks: string[]): ModelConfig => ({ ...o3, upstream, fallbacks });
  return {
    o3: sold('o3'),
    old: sold('o3-pro', 'gpt-5.6-sol'),
    near: sold('gpt-5'),
    moved: sold('gpt-5.1', 'gpt-5.2', 'gpt-5.4'),
    lost: sold('gpt-5.5'),
  };
}

interface Readiness {
  status: string;
  reasons?: string[];
}

/**
 * ModelsWorld is an instance with keys and five models, and one worker with a health port. Before the worker
 * looks at the models of the upstream, a job waits that will outlive its model (`near`).
 */
export interface ModelsWorld {
  instance: Instance;
  /** The client of the administrator. */
  client: O3Client;
  /** What `/readyz` of the producer and of the worker say. */
  readiness(): Promise<[Readiness, Readiness]>;
  viewOf(name: string): Promise<ModelView>;
  /** The metrics of the worker. */
  metrics(): Promise<string>;
  /** Changes a model of the simulator. */
  change(id: string, to: object): Promise<void>;
  /** The lines of the log with this message. */
  logged(message: string): Record<string, unknown>[];
}

/** useModelsWorld starts one world for the tests of a file. */
export function useModelsWorld(): ModelsWorld {
  const world = {} as ModelsWorld;
  let health: WorkerHealth;

  beforeAll(async () => {
    const instance = await startInstance({
      workers: 0,
      models: { models: aliases() },
      keys: Object.entries(KEYS).map(([name, secret]) => ({ name, secret })),
      simulator: {
        models: [
          { id: 'o3' },
          { id: 'o3-pro', shutdownDate: OVER },
          { id: 'gpt-5', shutdownDate: SOON },
          ...['gpt-5.1', 'gpt-5.2', 'gpt-5.4', 'gpt-5.5', 'gpt-5.6-sol'].map((id) => ({ id })),
        ],
      },
    });
    world.instance = instance;
    world.client = new O3Client({ url: instance.url, apiKey: KEYS.admin });
    await world.client.enqueue({ question: 'And later?', model: 'near', delay_ms: 6 * DAY_MS });
    const worker = instance.addWorker();
    await worker.alive;
    health = await startWorkerHealth(() => worker, '127.0.0.1', 0);
  });
  afterAll(async () => {
    await health.close();
    await world.instance.stop();
  });

  const ofWorker = (path: string) => fetch(`http://127.0.0.1:${health.port}${path}`);
  return Object.assign(world, {
    async readiness() {
      const producer = await call(world.instance.url, 'GET', '/readyz');
      const worker = await ofWorker('/readyz');
      expect([producer.status, worker.status]).toEqual([200, 200]);
      return [producer.body as Readiness, (await worker.json()) as Readiness] as [Readiness, Readiness];
    },
    async viewOf(name: string) {
      const view = (await world.client.models()).find(({ model }) => model === name);
      if (view === undefined) throw new Error(`expected ${name} among the models`);
      return view;
    },
    metrics: async () => (await ofWorker('/metrics')).text(),
    async change(id: string, to: object) {
      const url = new URL(`/simulator/models/${id}`, world.instance.upstreamUrl);
      const reply = await fetch(url, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(to),
      });
      expect(reply.status).toBe(200);
    },
    logged: (message: string) =>
      world.instance.logLines
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter(({ msg }) => msg === message),
  } satisfies Partial<ModelsWorld>);
}
