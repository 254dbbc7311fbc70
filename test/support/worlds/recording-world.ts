import { createLogger } from '../../../src/process/log.ts';
import { shutDown } from '../../../src/process/shutdown.ts';
import { type O3Worker, startWorker } from '../../../worker/worker.ts';
import { openRecordingUpstream, type RecordingUpstream } from '../openai/recording-upstream.ts';
import { type Instance, startInstance } from './instance.ts';

/** RecordingWorld is an instance whose upstream records what it is sent. */
export interface RecordingWorld {
  upstream: RecordingUpstream;
  instance: Instance;
}

/** useRecordingWorld starts the world before the tests of a file. Each test begins with nothing received. */
export function useRecordingWorld(): RecordingWorld {
  const world = {} as RecordingWorld;
  let worker: O3Worker;
  beforeAll(async () => {
    world.upstream = await openRecordingUpstream();
    world.instance = await startInstance({ workers: 0 });
    worker = startWorker({
      settings: world.instance.models,
      redisUrl: world.instance.redis.url,
      prefix: 'o3q',
      logger: createLogger({ level: 'silent', secrets: [], pretty: false }),
      concurrency: 10,
      upstream: { apiKey: 'sk-of-the-instance', baseUrl: world.upstream.url },
    });
  });
  afterAll(async () => {
    await shutDown([worker], { deadlineMs: 5000, hurry: new AbortController().signal });
    await world.instance.stop();
    await world.upstream.close();
  });
  beforeEach(() => world.upstream.received.splice(0));
  return world;
}
