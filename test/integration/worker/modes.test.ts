import type { GivenReply } from '../../../simulator/faults/odd-replies.ts';
import type { ModelConfig } from '../../../src/config/file.ts';
import { parseJobRequest } from '../../../src/job/request.ts';
import { CREATES } from '../../support/openai/upstream-gate.ts';
import { quickModels } from '../../support/worlds/instance.ts';
import {
  startWorkerWorld,
  type WorkerWorld,
  type WorkerWorldOptions,
} from '../../support/worlds/worker-world.ts';

describe('a worker', () => {
  let world: WorkerWorld;
  const start = async (options: WorkerWorldOptions): Promise<void> => {
    world = await startWorkerWorld(options);
  };
  afterEach(() => world.stop());

  const complete = async (question: string, stream: boolean): Promise<void> => {
    const { id } = await world.ask(question, {}, { stream });
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1 });
    expect(await world.answer(id)).toContain(question);
  };

  it('follows a background response by its events', async () => {
    await start({});
    await complete('Streamed?', true);
    expect(world.bought('Streamed?').map(({ mode, polls }) => ({ mode, polls }))).toEqual([
      { mode: 'background+stream', polls: 0 },
    ]);
  });

  it('polls a background response that was created without a stream', async () => {
    await start({});
    await complete('The first shows that there is a background mode', true);
    await complete('Polled?', false);
    const [entry, ...more] = world.bought('Polled?');
    expect(more).toEqual([]);
    expect(entry).toMatchObject({ mode: 'background', state: 'completed' });
    expect(entry?.polls).toBeGreaterThan(0);
  });

  it('notices once that a server refuses the background mode, and streams in the foreground', async () => {
    await start({ simulator: { background: 'rejected' } });
    await complete('First', true);
    expect(world.simulator.ledger.totals()).toMatchObject({ rejected: 1, purchases: 1, polls: 0 });
    await complete('Second', false);
    expect(world.simulator.ledger.totals()).toMatchObject({ rejected: 1, purchases: 2, polls: 0 });
    expect(world.simulator.ledger.entries().map(({ mode }) => mode)).toEqual([
      'foreground+stream',
      'foreground+stream',
    ]);
  });

  it.each([true, false])(
    'gets a whole answer from a server that ignores the background mode, stream: %s',
    async (stream) => {
      await start({ simulator: { background: 'ignored' } });
      await complete('First', stream);
      await complete('Second', stream);
      expect(world.simulator.ledger.totals()).toMatchObject({ rejected: 0, purchases: 2, polls: 0 });
    },
  );

  it('waits for a slow server that ignores the background mode longer than for one that hangs', async () => {
    await start({ simulator: { background: 'ignored', thinkMs: 1800 }, patience: { answerMs: 900 } });
    await complete('Slow', false);
    expect(world.bought('Slow')).toHaveLength(1);
  });

  it('learns at the cost of one answer that a server sends its first byte with the answer', async () => {
    await start({ simulator: { background: 'late', thinkMs: 1800 }, patience: { answerMs: 900 } });
    const { id } = await world.ask('First', {}, { stream: false });
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 2 });
    await complete('Second', false);
    expect(world.bought('First')).toHaveLength(2);
    expect(world.bought('Second')).toHaveLength(1);
  });

  it.each<[string, GivenReply]>([
    ['OpenAI', { status: 400, json: { error: { message: 'Unknown parameter', param: 'background' } } }],
    ['FastAPI', { status: 422, json: { detail: [{ loc: ['body', 'background'], msg: 'Extra inputs' }] } }],
    ['LiteLLM', { status: 500, json: { error: { message: "does not support parameters: ['background']" } } }],
    ['a gateway', { status: 405, text: 'background mode is not supported' }],
    ['a 200', { status: 200, json: { error: { message: 'background is not supported', code: 400 } } }],
  ])('learns from %s that a server has no background mode', async (_who, background) => {
    await start({ simulator: { background } });
    await complete('First', true);
    await complete('Second', false);
    expect(world.simulator.ledger.totals()).toMatchObject({ rejected: 1, purchases: 2 });
  });

  it.each<[string, GivenReply]>([
    [
      'OpenAI',
      { status: 400, json: { error: { message: 'Your organization must be verified', param: 'stream' } } },
    ],
    ['FastAPI', { status: 422, json: { detail: [{ loc: ['body', 'stream'], msg: 'not supported' }] } }],
    ['a gateway', { status: 501, text: 'stream=true is not implemented' }],
    ['a deployment', { status: 500, json: { error: { message: 'Streaming is not supported here' } } }],
  ])('learns from %s that a server has no streams', async (_who, streams) => {
    await start({ simulator: { streams } });
    await complete('First', true);
    await complete('Second', true);
    expect(world.simulator.ledger.totals()).toMatchObject({ rejected: 1, purchases: 2 });
  });

  it('asks more than eight questions at once of a server that sends its first byte with the answer', async () => {
    await start({
      simulator: { background: 'rejected', streams: 'rejected' },
      patience: { slotMs: 100 },
    });
    await complete('First', true);
    world.gate.shut(CREATES);
    const jobs = await Promise.all(Array.from({ length: 12 }, (_, i) => world.ask(`Number ${i}?`)));
    await world.gate.holding(12);
    world.gate.open();
    for (const { id } of jobs)
      expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1 });
    expect(world.simulator.ledger.totals()).toMatchObject({ purchases: 13 });
  });

  it('polls at a server that has the background mode and no streams', async () => {
    await start({ simulator: { streams: 'rejected' } });
    await complete('First', false);
    await complete('Second', true);
    expect(world.simulator.ledger.totals()).toMatchObject({ rejected: 1, purchases: 2 });
    expect(world.simulator.ledger.entries().map(({ mode }) => mode)).toEqual(['background', 'background']);
  });

  it.each([
    [{ background: 'never' }, 'foreground+stream'],
    [{ stream: 'never' }, 'background'],
    [{ background: 'never', stream: 'never' }, 'foreground'],
  ] as const)('does as the configuration says, whatever the server has: %j', async (settings, mode) => {
    const { o3 } = quickModels().models as Record<'o3', ModelConfig>;
    await start({ models: { models: { o3: { ...o3, ...settings } } } });
    await complete('Known better?', true);
    expect(world.bought('Known better?').map((entry) => entry.mode)).toEqual([mode]);
  });

  it('does not give the background mode up for one request that may not be stored', async () => {
    await start({});
    const { id } = (
      await world.queue.enqueue(parseJobRequest({ request: { input: 'Secret', store: false } }))
    ).job;
    expect(await world.finished(id)).toMatchObject({ status: 'completed' });
    await complete('Ordinary', true);
    expect(world.bought('Ordinary')[0]?.mode).toBe('background+stream');
  });
});
