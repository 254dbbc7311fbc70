import { O3Client } from '../../src/client/o3-client.ts';
import type { JobEvent } from '../../src/job/event.ts';
import type { JobQueue } from '../../src/job/job-queue.ts';
import { O3Queue } from '../../src/queue/o3-queue.ts';
import { eventually } from '../support/eventually.ts';
import { type Instance, startInstance } from '../support/worlds/instance.ts';
import { describeJobQueue } from './job-queue.suite.ts';
import { describeEnqueue } from './job-queue-enqueue.suite.ts';
import { describeRefusals } from './job-queue-refusals.suite.ts';

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

describe('O3Client', () => {
  describeEnqueue(() => ({ queue: client, instance }));
  describeJobQueue(() => ({ queue: client, instance }));
  describeRefusals(() => ({ queue: client }));
});
describe('O3Queue', () => {
  describeEnqueue(() => ({ queue, instance }));
  describeJobQueue(() => ({ queue, instance }));
  describeRefusals(() => ({ queue }));
});

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

it('O3Client and O3Queue have the same methods, except those for their connections', () => {
  // A token opens an address of a producer.
  const own = ['constructor', 'close', 'as', 'eventsToken'];
  const methods = (of: object): string[] => {
    const names = new Set<string>();
    for (let proto = of; proto !== Object.prototype; proto = Object.getPrototypeOf(proto)) {
      for (const name of Object.getOwnPropertyNames(proto)) names.add(name);
    }
    return [...names].filter((name) => !own.includes(name)).sort();
  };
  expect(methods(O3Queue.prototype)).toEqual(methods(O3Client.prototype));
});

it.each<[string, () => unknown, string]>([
  ['O3Client without options', () => new O3Client(undefined as never), 'invalid_client_option'],
  ['O3Client without a URL', () => new O3Client({} as never), 'invalid_client_option'],
  [
    'O3Client with an unknown option',
    () => new O3Client(clientOptions('key', 'secret')),
    'invalid_client_option',
  ],
  [
    'O3Client with a key that is no text',
    () => new O3Client(clientOptions('apiKey', 7)),
    'invalid_client_option',
  ],
  [
    'O3Client with a patience in words',
    () => new O3Client(clientOptions('readPatienceMs', 'x')),
    'invalid_client_option',
  ],
  ['O3Queue without options', () => new O3Queue(undefined as never), 'invalid_request'],
  ['O3Queue without a URL', () => new O3Queue({} as never), 'invalid_request'],
  [
    'O3Queue with an unknown option',
    () => new O3Queue({ redisUrl: 'redis://h', key: 'secret' } as never),
    'invalid_request',
  ],
])('%s is refused with what was expected', (_what, make, code) => {
  const refusal = expect.objectContaining({
    code,
    message: expect.stringMatching(/xpected .*(url|redisUrl|URL|key|Key|readPatienceMs)/),
  });
  expect(make).toThrow(refusal);
  expect(make).not.toThrow(/secret/);
});

it('O3Client and O3Queue read the same audit log, and refuse the same queries', async () => {
  const { id } = await queue.enqueue({ question: 'Why?' });
  await queue.cancel(id);
  await eventually(async () =>
    expect((await queue.audit({ limit: 1 })).entries).toMatchObject([{ what: 'job.cancel', subject: id }]),
  );
  expect(await client.audit()).toEqual(await queue.audit());
  for (const one of [client, queue]) {
    await expect(one.audit({ limit: 0 })).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(one.audit({ since: 'yesterday' })).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(one.audit({ cursor: 'x' })).rejects.toMatchObject({ code: 'invalid_request' });
  }
});

it.each(['usage', 'audit', 'models', 'resume'] as const)(
  '%s refuses unknown options, as every other method does',
  async (method) => {
    for (const one of [client, queue]) {
      const call =
        method === 'models'
          ? one.models({ timeout: 1 } as object)
          : method === 'usage' || method === 'audit'
            ? one[method]({}, { timeout: 1 } as object)
            : one.resume('o3', { timeout: 1 } as object);
      await expect(call).rejects.toMatchObject({ code: 'invalid_request', flaws: [{ path: 'timeout' }] });
    }
  },
);

function clientOptions(name: string, value: unknown): never {
  return { url: 'http://127.0.0.1:3000', [name]: value } as never;
}
