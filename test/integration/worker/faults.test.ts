import { eventually } from '../../support/eventually.ts';
import {
  startWorkerWorld,
  type WorkerWorld,
  type WorkerWorldOptions,
} from '../../support/worlds/worker-world.ts';

/** Every fault of docs/SIMULATOR.md, and what becomes of a job that meets it. */
describe('a job that meets a fault', () => {
  let world: WorkerWorld;
  beforeAll(async () => {
    world = await startWorkerWorld({
      patience: { answerMs: 1500, silenceMs: 1000, graceMs: 1000, lostMs: 1500 },
    });
  });
  afterAll(() => world.stop());

  let count = 0;
  const question = (): string => {
    count += 1;
    return `Question ${count}?`;
  };

  interface Ending {
    /** How it ends: `completed`, or the code that it fails with. */
    ends: string;
    attempt?: number;
    bought?: number;
    stream?: boolean;
    more?: Record<string, string>;
    timeoutMs?: number;
  }

  it.each<[string, Ending]>([
    ['429_bare', { ends: 'completed', bought: 1 }],
    ['500', { ends: 'completed', attempt: 3, bought: 1, more: { sim_times: '2' } }],
    ['503', { ends: 'completed', attempt: 3, bought: 1, more: { sim_times: '2' } }],
    ['502_html', { ends: 'completed', attempt: 3, bought: 1, more: { sim_times: '2' } }],
    ['reset', { ends: 'completed', attempt: 2, bought: 1 }],
    ['hang', { ends: 'completed', attempt: 2, bought: 1 }],
    // The id never arrives: the one window in which a response is bought for nothing.
    ['reset_created', { ends: 'completed', attempt: 2, bought: 2 }],
    ['hang_created', { ends: 'completed', attempt: 2, bought: 2 }],
    ['mute', { ends: 'completed', attempt: 2, bought: 2 }],
    ['mute', { ends: 'completed', more: { sim_events: '3' } }],
    ['mute', { ends: 'completed', more: { sim_events: '3', sim_connections: '9' } }],
    ['cut', { ends: 'completed' }],
    ['cut', { ends: 'completed', more: { sim_events: '7', sim_connections: '5' } }],
    ['eof', { ends: 'completed' }],
    ['eof', { ends: 'completed', more: { sim_events: '1', sim_connections: '9' } }],
    ['failed', { ends: 'completed', attempt: 2, bought: 2 }],
    ['failed', { ends: 'completed', attempt: 2, bought: 2, stream: false }],
    ['failed', { ends: 'completed', bought: 2, more: { sim_code: 'rate_limit_exceeded' } }],
    ['failed', { ends: 'completed', bought: 2, more: { sim_code: 'invalid_api_key' } }],
    ['failed', { ends: 'completed', bought: 2, more: { sim_code: 'model_not_found' } }],
    ['failed', { ends: 'completed', attempt: 2, bought: 2, more: { sim_code: 'server_is_overloaded' } }],
    ['failed', { ends: 'response_refused', more: { sim_code: 'invalid_prompt' } }],
    ['failed', { ends: 'response_refused', more: { sim_code: 'bio_policy' } }],
    ['error_event', { ends: 'completed', attempt: 2, bought: 2 }],
    ['error_event', { ends: 'response_refused', more: { sim_code: 'invalid_prompt' } }],
    ['error_event_flat', { ends: 'completed', attempt: 2, bought: 2 }],
    ['gone', { ends: 'completed', attempt: 2, bought: 2, stream: false }],
    ['cut, gone', { ends: 'completed', attempt: 2, bought: 2 }],
    ['poll_429', { ends: 'completed', stream: false, more: { sim_retry_after_ms: '20' } }],
    ['poll_500', { ends: 'completed', stream: false, more: { sim_polls: '2' } }],
    ['poll_401', { ends: 'completed', stream: false, more: { sim_polls: '2' } }],
    ['poll_404', { ends: 'completed', stream: false }],
    ['poll_html', { ends: 'completed', stream: false, more: { sim_polls: '2' } }],
    ...[
      { status: 200, html: '<title>Log in</title>' },
      { status: 200, json: {} },
      { status: 200, json: { error: { message: 'not found', code: 404 } } },
      { status: 302, headers: { location: '/login' } },
      { status: 402, json: { error: { message: 'Insufficient credits', code: 402 } } },
      { status: 410, json: { error: { message: 'gone' } } },
    ].map((reply): [string, Ending] => [
      'poll_refuse',
      { ends: 'completed', stream: false, more: { sim_refusal: JSON.stringify(reply), sim_polls: '2' } },
    ]),
    ['498', { ends: 'completed', attempt: 3, more: { sim_times: '2' } }],
    ['429_zero', { ends: 'completed', more: { sim_times: '2' } }],
    ['400_busy', { ends: 'completed', more: { sim_times: '3' } }],
    ['429_large', { ends: 'request_too_large', bought: 0 }],
    ['422_detail', { ends: 'invalid_request', bought: 0 }],
    ['200_error', { ends: 'invalid_request', bought: 0 }],
    ['401', { ends: 'completed' }],
    ['402', { ends: 'completed' }],
    ['403_html', { ends: 'completed' }],
    ['404_path', { ends: 'completed' }],
    ['200_html', { ends: 'completed' }],
    ['cut, poll_500', { ends: 'completed' }],
    ['stall', { ends: 'timeout', timeoutMs: 1000, more: { sim_events: '3' } }],
    ['stall', { ends: 'timeout', timeoutMs: 2000, more: { sim_events: '3' } }],
    ['stall', { ends: 'timeout', timeoutMs: 1000, stream: false }],
    ['stuck_queued', { ends: 'timeout', timeoutMs: 1000 }],
    ['hang', { ends: 'timeout', bought: 0, timeoutMs: 1000 }],
    ['400', { ends: 'invalid_request', bought: 0 }],
  ])('%s: %j', async (fault, { ends, attempt = 1, bought = 1, stream = true, more, timeoutMs }) => {
    const asked = question();
    const { id } = await world.ask(
      asked,
      { sim: fault, sim_times: '1', ...more },
      { stream, ...(timeoutMs !== undefined && { timeout_ms: timeoutMs }) },
    );
    const job = await world.finished(id);
    const how = job.status === 'failed' ? job.error.code : job.status;
    expect({ how, attempt: job.attempt, bought: world.bought(asked).length }).toEqual({
      how: ends,
      attempt,
      bought,
    });
    if (job.status === 'completed') expect(await world.answer(id)).toContain(asked);
    await eventually(() => {
      for (const { state } of world.bought(asked)) expect(['queued', 'in_progress']).not.toContain(state);
    });
  });

  it('keeps the reason of an incomplete answer', async () => {
    const { id } = await world.ask(question(), { sim: 'incomplete' });
    expect(await world.finished(id)).toMatchObject({
      status: 'completed',
      result: { incomplete_reason: 'max_output_tokens' },
    });
  });

  it('does not guess a usage that was not told', async () => {
    const { id } = await world.ask(question(), { sim: 'usage_null' });
    expect(await world.finished(id)).toMatchObject({ status: 'completed', result: { usage: null } });
  });

  it('keeps the words of a refusal', async () => {
    const { id } = await world.ask(question(), { sim: '400' });
    expect(await world.finished(id)).toMatchObject({
      error: {
        code: 'invalid_request',
        message: expect.stringContaining("400 invalid_value: Invalid 'input': refused"),
        retryable: false,
      },
    });
  });

  it('tells the upstream to stop what has taken too long', async () => {
    const asked = question();
    const { id } = await world.ask(asked, { sim: 'stall', sim_events: '1' }, { timeout_ms: 1000 });
    expect(await world.finished(id)).toMatchObject({ status: 'failed', error: { code: 'timeout' } });
    await eventually(() => expect(world.bought(asked)).toMatchObject([{ state: 'cancelled' }]));
  });

  it('fails with the last code when its attempts are exhausted', async () => {
    const asked = question();
    const { id } = await world.ask(asked, { sim: '503' }, { max_attempts: 3 });
    expect(await world.finished(id)).toMatchObject({
      status: 'failed',
      attempt: 3,
      max_attempts: 3,
      error: { code: 'upstream_overloaded', retryable: true },
    });
    const stored = await world.model().bullmq.getJob(id);
    expect(stored?.opts.attempts).toBe(3);
  });
});

describe('a worker whose creates are refused', () => {
  let world: WorkerWorld;
  afterEach(() => world.stop());

  it.each<[string, WorkerWorldOptions, RegExp]>([
    ['key', { simulator: { apiKey: 'sk-right' }, apiKey: 'sk-wrong' }, /^credentials refused: /],
    ['model', { simulator: { models: ['gpt-5'] } }, /^o3 does not exist at the upstream.* set models\.o3\./],
  ])('keeps a job whose %s is refused, uncharged, and says why it waits', async (_what, options, reason) => {
    world = await startWorkerWorld(options);
    const { id } = await world.ask('Who are you?');
    await eventually(async () =>
      expect(await world.queue.get(id)).toMatchObject({
        ...{ status: 'waiting', attempt: 1, purchases: 0 },
        waiting_for: expect.stringMatching(reason),
      }),
    );
  });
});

describe('a foreground job that meets a fault', () => {
  let world: WorkerWorld;
  beforeAll(async () => {
    world = await startWorkerWorld({ simulator: { background: 'rejected' } });
  });
  afterAll(() => world.stop());

  it.each<[string, string, number, number]>([
    ['cut', 'completed', 2, 2],
    ['eof', 'completed', 2, 2],
    ['failed', 'completed', 2, 2],
    ['error_event', 'completed', 2, 2],
    ['error_event_flat', 'completed', 2, 2],
    ['500', 'completed', 2, 1],
  ])('%s: %s, attempt %d, bought %d', async (fault, ends, attempt, bought) => {
    const asked = `What about ${fault}?`;
    const { id } = await world.ask(asked, { sim: fault, sim_times: '1' });
    const job = await world.finished(id);
    expect({
      how: job.status === 'failed' ? job.error.code : job.status,
      attempt: job.attempt,
      bought: world.bought(asked).length,
    }).toEqual({ how: ends, attempt, bought });
  });

  it.each(['mute', 'stall', 'hang_created'])('%s ends with its timeout', async (fault) => {
    const asked = `How long is ${fault}?`;
    const { id } = await world.ask(asked, { sim: fault, sim_think_ms: '60000' }, { timeout_ms: 1000 });
    expect(await world.finished(id)).toMatchObject({ status: 'failed', error: { code: 'timeout' } });
    await eventually(() => expect(world.bought(asked)).toMatchObject([{ state: 'cancelled' }]));
  });
});
