import { O3Client } from '../../src/client/o3-client.ts';
import type { JobEvent } from '../../src/job/event.ts';
import type { JobQueue } from '../../src/job/job-queue.ts';
import { O3Queue } from '../../src/queue/o3-queue.ts';
import { type Instance, startInstance } from '../support/worlds/instance.ts';
import { describeJobQueue } from './job-queue.suite.ts';

let instance: Instance;
let queue: O3Queue;
let client: O3Client;

beforeAll(async () => {
  instance = await startInstance();
  queue = new O3Queue({ redisUrl: instance.redis.url, ...instance.models });
  client = new O3Client({ url: instance.url });
});
afterAll(async () => {
  await queue.close();
  await instance.stop();
});

describe('O3Client', () => describeJobQueue(() => ({ queue: client, instance })));
describe('O3Queue', () => describeJobQueue(() => ({ queue, instance })));

it('O3Client and O3Queue tell the same events of one job', async () => {
  const { id } = await client.enqueue({ question: 'Both?', metadata: { sim_deltas: '5' } });
  await client.wait(id);
  const read = async (one: JobQueue): Promise<JobEvent[]> => {
    const events: JobEvent[] = [];
    for await (const event of one.events(id)) events.push(event);
    return events;
  };
  expect(await read(queue)).toEqual(await read(client));
});

it('O3Client and O3Queue have no method more than the other, except for their connections', () => {
  const methods = (of: object): string[] => {
    const names = new Set<string>();
    for (let proto = of; proto !== Object.prototype; proto = Object.getPrototypeOf(proto)) {
      for (const name of Object.getOwnPropertyNames(proto)) names.add(name);
    }
    return [...names].filter((name) => !['constructor', 'close', 'as'].includes(name)).sort();
  };
  expect(methods(O3Queue.prototype)).toEqual(methods(O3Client.prototype));
});
