import { setMaxListeners } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import express from 'express';
import { jobEventsRoute, responsesRoute, type StreamRoute } from '../../../chaos/callers/stream-reader.ts';
import { createWatcher } from '../../../chaos/callers/watcher.ts';
import { createRandom } from '../../../chaos/fleet/random.ts';
import { sendStream } from '../../../producer/http/stream-reply.ts';
import { type Producer, startProducer } from '../../../producer/producer.ts';
import { createLogger } from '../../../src/process/log.ts';
import { shutDown } from '../../../src/process/shutdown.ts';
import { eventually } from '../../support/eventually.ts';
import { openSse } from '../../support/http/sse-reader.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { startWorkerChild } from '../../support/worker/worker-child.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

/** Fixed, so that a failure repeats. Change it by hand to try other cuts. */
const SEED = 4;
const DELTAS = '500';
/** A worker's death is noticed, and a stream of some seconds goes on. */
const WHOLE_MS = 15_000;

describe('a stream with many readers on two producers', () => {
  let redis: TestRedis;
  let world: WorkerWorld;
  let producers: Producer[];
  let urls: string[];
  beforeEach(async () => {
    redis = await startTestRedis({ appendOnly: true });
    world = await startWorkerWorld({ redis, workers: 0 });
    producers = await Promise.all([startProducerOn(world), startProducerOn(world)]);
    urls = producers.map(({ url }) => url);
  });
  afterEach(async () => {
    await shutDown(producers, { deadlineMs: 5000, hurry: new AbortController().signal });
    await world.stop();
    await redis.stop();
  });

  const begunToSpeak = (id: string): Promise<void> =>
    eventually(
      async () => expect(await world.client.xlen(world.keys.eventLog(id))).toBeGreaterThan(2),
      WHOLE_MS,
    );
  const listeners = async (id: string): Promise<unknown> =>
    (await world.client.pubsub('NUMSUB', world.keys.eventLog(id)))[1];

  it('is whole for every reader, although readers reconnect and its worker is killed', async () => {
    const child = await startWorkerChild(world);
    const { id } = await world.ask('Killed?', { sim_think_ms: '5000', sim_deltas: DELTAS });
    const limit = AbortSignal.timeout(WHOLE_MS);
    setMaxListeners(0, limit);
    const watchers = Array.from({ length: 20 }, (_, i) => {
      const random = createRandom(SEED + i);
      return createWatcher({
        route: i % 4 === 0 ? responsesRoute(id) : jobEventsRoute(id),
        producerUrls: urls,
        random,
        startsAfterMs: random.between(0, 4000),
        signal: limit,
      });
    });
    const watching = Promise.all(watchers.map((watcher) => watcher.run()));
    await begunToSpeak(id);
    await child.kill();
    world.addWorker();
    await watching;

    const answer = await world.answer(id);
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1 });
    expect(world.bought('Killed?')).toHaveLength(1);
    for (const { watched } of watchers) expect(watched).toMatchObject({ text: answer, flaws: [] });
    expect(watchers.reduce((sum, { watched }) => sum + watched.drops, 0)).toBeGreaterThan(10);
    // Whoever comes when all is over hears the same, by the same numbers.
    for (const route of [jobEventsRoute(id), responsesRoute(id)]) {
      const late = await Promise.all(urls.map((url) => linesOf(route, url)));
      const live = watchers.filter(({ watched }) => watched.route === route.name);
      expect(new Set([...late, ...live.map(({ watched }) => watched.lines)].map(String)).size).toBe(1);
    }
  });

  it('goes on for connected readers after Redis was away', async () => {
    world.addWorker();
    const { id } = await world.ask('Away?', { sim_think_ms: '4000', sim_deltas: DELTAS });
    const routes = [jobEventsRoute(id), responsesRoute(id)];
    const reading = Promise.all(routes.map((route, i) => linesOf(route, urls[i] ?? '')));
    await begunToSpeak(id);
    await redis.kill('SIGKILL');
    await redis.restart();
    const live = await reading;
    await world.reconnected();
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1 });
    expect(live).toEqual(await Promise.all(routes.map((route) => linesOf(route, urls[0] ?? ''))));
    expect(live[0]?.at(-1)).toMatch(/done/);
    expect(live[1]?.at(-1)).toMatch(/response\.completed/);
  });

  it('is read from Redis once for each process, and only while it has readers', async () => {
    world.addWorker();
    const { id } = await world.ask('Hello?', { sim_think_ms: '60000' });
    const open = async (i: number) => {
      const answer = await openSse(`${urls[i % 2]}/jobs/${id}/events`);
      expect(answer.status).toBe(200);
      return answer.messages;
    };
    const watchers = await Promise.all(Array.from({ length: 20 }, (_, i) => open(i)));
    expect(await listeners(id)).toBe(2);
    for (const watcher of watchers) watcher.drop();
    await eventually(async () => expect(await listeners(id)).toBe(0));

    for (let i = 0; i < 50; i += 1) (await open(i)).drop();
    await eventually(async () => expect(await listeners(id)).toBe(0));
    // One who leaves does not take the others' news away.
    const [stays, leaves] = [await open(0), await open(0)];
    leaves.drop();
    await world.queue.cancel(id);
    const heard: string[] = [];
    for await (const { event } of stays) heard.push(event);
    expect(heard.at(-1)).toBe('done');
    await eventually(async () => expect(await listeners(id)).toBe(0));
  });
});

it('a reader that stops reading gets no more than the buffers hold, delays no other reader, and is dropped with its connection', async () => {
  const CHUNK = `data: ${'x'.repeat(16 * 1024)}\n\n`;
  const MEGABYTES = 8;
  const sent = { '/idle': 0, '/busy': 0 };
  const ended: string[] = [];
  async function* chunks(path: '/idle' | '/busy'): AsyncGenerator<string> {
    try {
      for (;;) {
        // Lets others have their turn, even when nothing holds it up.
        await nextTurn();
        sent[path] += CHUNK.length;
        yield CHUNK;
      }
    } finally {
      ended.push(path);
    }
  }
  const waiting: (() => number)[] = [];
  const app = express();
  for (const path of ['/idle', '/busy'] as const) {
    app.get(path, async (_request, response) => {
      if (path === '/idle') waiting.push(() => response.writableLength);
      await sendStream(
        { contentType: 'text/event-stream', chunks: chunks(path), keepAlive: ': \n\n' },
        response,
      );
    });
  }
  const server = app.listen(0, '127.0.0.1');
  await new Promise<void>((resolve) => server.once('listening', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    const idle = await openSse(`${url}/idle`);
    const readSome = async (): Promise<void> => {
      const { messages } = await openSse(`${url}/busy`);
      let read = 0;
      for await (const { data } of messages) {
        read += String(data).length;
        if (read > MEGABYTES * 1024 * 1024) messages.drop();
      }
    };
    await eventually(async () => {
      const before = sent['/idle'];
      await readSome();
      expect(sent['/idle']).toBe(before);
    });
    expect(waiting.map((length) => length() < 2 * CHUNK.length)).toEqual([true]);
    idle.messages.drop();
    await eventually(() => expect(new Set(ended)).toEqual(new Set(['/busy', '/idle'])));
  } finally {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
});

function startProducerOn({ models, redis }: WorkerWorld): Promise<Producer> {
  return startProducer({
    settings: models,
    redisUrl: redis.url,
    prefix: 'o3q',
    host: '127.0.0.1',
    port: 0,
    logger: createLogger({ level: 'silent', secrets: [], pretty: false }),
  });
}

/** What a route tells from the beginning to the end, on one connection. */
async function linesOf(route: StreamRoute, url: string): Promise<string[]> {
  const { messages } = await route.open(url, undefined);
  const lines: string[] = [];
  for await (const message of messages) {
    const { number, line } = route.read(message);
    if (number !== undefined && line !== undefined) lines.push(`${number} ${line}`);
  }
  return lines;
}
