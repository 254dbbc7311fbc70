import { createPace } from '../../../src/async/pace.ts';
import { RetryableError, TerminalError } from '../../../src/errors/failure.ts';
import type { UpstreamResponse } from '../../../src/responses/response.ts';
import type { RunProgress } from '../../../src/run/record.ts';
import { type FollowOptions, follow } from '../../../worker/attempt/follow.ts';
import { createCreateSlots } from '../../../worker/upstream/create-slots.ts';
import type { RunningResponse, StreamEvent } from '../../../worker/upstream/running-response.ts';

const MINUTE = 60_000;
const done: UpstreamResponse = { id: 'resp_1', model: 'o3', status: 'completed', output: [] };
const thinking: UpstreamResponse = { id: 'resp_1', status: 'in_progress' };
const lost = new RetryableError('connection_lost', 'cut');

const delta = (sequence_number: number, text: string): StreamEvent => ({
  type: 'response.output_text.delta',
  sequence_number,
  delta: text,
});
const end = (sequence_number: number): StreamEvent => ({
  type: 'response.completed',
  sequence_number,
  response: done,
});

/** Events, and then an error if there is one. */
async function* stream(events: StreamEvent[], error?: Error): AsyncGenerator<StreamEvent> {
  yield* events;
  if (error !== undefined) throw error;
}

/** An upstream that answers from a script: the n-th resume and the n-th lookup. */
function scripted(resumes: (AsyncGenerator<StreamEvent> | Error)[], lookups: (UpstreamResponse | Error)[]) {
  const resumedAfter: (number | undefined)[] = [];
  const progress: RunProgress[] = [];
  const polledAt: number[] = [];
  const next = <Value>(script: (Value | Error)[]): Value => {
    const value = script.shift();
    if (value === undefined) throw new Error('expected no further call');
    if (value instanceof Error) throw value;
    return value;
  };
  const controller = new AbortController();
  const options: FollowOptions = {
    upstream: {
      withHeaders: (): never => {
        throw new Error('expected no headers');
      },
      create: async () => next([]),
      resume: async (_id, after) => {
        resumedAfter.push(after);
        return next(resumes);
      },
      retrieve: async () => {
        polledAt.push(Date.now());
        return next(lookups);
      },
      cancel: async () => null,
      delete: async () => true,
      listModels: async () => undefined,
      isSimulated: () => false,
      graceMs: 0,
      lostMs: 60_000,
      slots: createCreateSlots(1, []),
      pace: createPace(200),
      close: async () => {},
    },
    signal: controller.signal,
    cursor: undefined,
    outputCharacters: 0,
    createdAt: Date.now(),
    stallMs: 10 * MINUTE,
    openAiEvents: undefined,
    eventLogWriter: { add: (_event, now) => void progress.push(now) },
    onProgress: async (made) => void progress.push(made),
  };
  return { options, resumedAfter, progress, polledAt, controller };
}

const streamed = (events?: AsyncGenerator<StreamEvent>): Omit<RunningResponse, 'simulated'> => ({
  response: thinking,
  background: true,
  streamed: true,
  ...(events !== undefined && { events }),
});

describe('follow', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => {
    jest.restoreAllMocks();
    jest.useRealTimers();
  });

  /** Lets the follower's pauses pass. */
  async function outcomeOf(following: Promise<UpstreamResponse>): Promise<UpstreamResponse | Error> {
    const settled = following.catch((error: Error) => error);
    await jest.advanceTimersByTimeAsync(10 * MINUTE);
    return settled;
  }

  it('ends with the last event of the stream, without a lookup', async () => {
    const { options, resumedAfter, polledAt } = scripted([], []);
    expect(await follow(streamed(stream([delta(3, 'a'), end(4)])), options)).toBe(done);
    expect([resumedAfter, polledAt]).toEqual([[], []]);
  });

  it('returns a response that has already ended at once', async () => {
    const { options } = scripted([], []);
    expect(await follow({ response: done, background: true, streamed: false }, options)).toBe(done);
    const old = { id: 'resp_1', output: [{ type: 'message' }] };
    expect(await follow({ response: old, background: false, streamed: false }, options)).toBe(old);
  });

  it.each([
    ['cut', lost],
    ['ended too early', undefined],
  ])('resumes a stream that was %s where it broke off, and counts every delta once', async (_how, error) => {
    const { options, resumedAfter, progress } = scripted(
      [stream([delta(6, 'de'), delta(7, 'f'), end(8)])],
      [],
    );
    expect(await follow(streamed(stream([delta(4, 'a'), delta(5, 'bc')], error)), options)).toBe(done);
    expect(resumedAfter).toEqual([5]);
    expect(progress.map(({ cursor, outputCharacters }) => [cursor, outputCharacters])).toEqual([
      [4, 1],
      [5, 3],
      [6, 5],
      [7, 6],
    ]);
  });

  it('continues where an earlier follower stopped', async () => {
    const { options, resumedAfter, progress } = scripted([stream([delta(42, 'x'), end(43)])], []);
    await follow(streamed(), { ...options, cursor: 41, outputCharacters: 100 });
    expect(resumedAfter).toEqual([41]);
    expect(progress).toMatchObject([{ cursor: 42, outputCharacters: 101 }]);
  });

  it('polls after three streams without a new event', async () => {
    const { options, resumedAfter, polledAt } = scripted(
      [stream([]), stream([], lost), stream([], lost)],
      [thinking, done],
    );
    expect(await outcomeOf(follow(streamed(stream([], lost)), options))).toBe(done);
    expect(resumedAfter).toHaveLength(3);
    expect(polledAt).toHaveLength(2);
  });

  it('goes on resuming a stream that brings new events between its breaks', async () => {
    const pieces = Array.from({ length: 20 }, (_, i) => stream([delta(i + 1, 'x')], lost));
    const { options, resumedAfter } = scripted([...pieces, stream([end(21)])], []);
    expect(await follow(streamed(stream([delta(0, 'x')], lost)), options)).toBe(done);
    expect(resumedAfter).toEqual(Array.from({ length: 21 }, (_, i) => i));
  });

  it.each([
    ['cannot be resumed', [lost]],
    ['is refused', [new TerminalError('invalid_request', 'too old')]],
  ])('polls when a stream %s', async (_why, resumes) => {
    const { options } = scripted(resumes, [done]);
    expect(await outcomeOf(follow(streamed(stream([], lost)), options))).toBe(done);
  });

  it('does not resume the stream of a response that is older than five minutes', async () => {
    const { options, resumedAfter } = scripted([], [done]);
    const createdAt = Date.now() - 5 * MINUTE;
    expect(await outcomeOf(follow(streamed(), { ...options, createdAt }))).toBe(done);
    expect(resumedAfter).toEqual([]);
  });

  it('does not stream a response that was created without a stream', async () => {
    const { options, resumedAfter } = scripted([], [done]);
    const polled = { response: thinking, background: true, streamed: false };
    expect(await outcomeOf(follow(polled, options))).toBe(done);
    expect(resumedAfter).toEqual([]);
  });

  it('polls ever more slowly, up to every five seconds, and reports each change, and once a minute that there is none', async () => {
    const { options, polledAt, progress } = scripted(
      [],
      [{ id: 'resp_1', status: 'queued' }, ...Array.from({ length: 20 }, () => thinking), done],
    );
    await outcomeOf(follow({ response: thinking, background: true, streamed: false }, options));
    const pauses = polledAt.slice(1).map((at, i) => at - (polledAt[i] ?? 0));
    expect(Math.max(...pauses.slice(0, 1))).toBeLessThan(350);
    expect(Math.min(...pauses.slice(-5))).toBeGreaterThan(3700);
    expect(Math.max(...pauses)).toBeLessThan(6300);
    expect(progress.map(({ upstreamStatus }) => upstreamStatus)).toEqual([
      'queued',
      'in_progress',
      'in_progress',
    ]);
    expect((progress[2]?.seenAt ?? 0) - (progress[1]?.seenAt ?? 0)).toBeGreaterThan(60_000);
  });

  it('polls less often while thousands of others poll', async () => {
    const { options, polledAt } = scripted([], [thinking, done]);
    for (let i = 0; i < 3999; i += 1) options.upstream.pace.join();
    await outcomeOf(follow({ response: thinking, background: true, streamed: false }, options));
    const [first = 0, second = 0] = polledAt;
    expect(second - first).toBeGreaterThanOrEqual(15_000);
    expect(second - first).toBeLessThanOrEqual(25_000);
    expect(options.upstream.pace.pauseMs()).toBe(3999 * 5);
  });

  it('waits out the Retry-After of an upstream that refuses lookups', async () => {
    const { options, polledAt } = scripted(
      [],
      [new RetryableError('rate_limited', 'slowly', { retryAfterMs: 20_000 }), lost, done],
    );
    const polled = { response: thinking, background: true, streamed: false };
    expect(await outcomeOf(follow(polled, options))).toBe(done);
    expect((polledAt[1] ?? 0) - (polledAt[0] ?? 0)).toBeGreaterThanOrEqual(20_000);
  });

  it('fails when lookups have found nothing for a minute', async () => {
    const missing = new TerminalError('not_found', '404');
    const { options, polledAt } = scripted(
      [],
      Array.from({ length: 99 }, () => missing),
    );
    const polled = { response: thinking, background: true, streamed: false };
    expect(await outcomeOf(follow(polled, options))).toMatchObject({
      code: 'response_lost',
      retryable: true,
    });
    expect((polledAt.at(-1) ?? 0) - (polledAt[0] ?? 0)).toBeGreaterThanOrEqual(60_000);
  });

  it.each([
    ['404', new TerminalError('not_found', '404')],
    ['400', new TerminalError('invalid_request', '400')],
    ['401', new RetryableError('authentication', '401')],
    ['403', new RetryableError('permission', '403')],
    ['a web page', new RetryableError('wrong_address', 'a web page')],
  ])('goes on after lookups that were answered with %s for a while', async (_what, refusal) => {
    const { options } = scripted([], [refusal, refusal, refusal, done]);
    const polled = { response: thinking, background: true, streamed: false };
    expect(await outcomeOf(follow(polled, options))).toBe(done);
  });

  it.each([
    ['cut', [delta(1, 'x')], lost, 'connection_lost'],
    ['ended too early', [delta(1, 'x')], undefined, 'connection_lost'],
    [
      'said to have failed',
      [{ type: 'error', code: 'server_error', message: 'x' }],
      undefined,
      'response_failed',
    ],
    ['said to be refused', [{ type: 'error', code: 'invalid_prompt' }], undefined, 'response_refused'],
  ])('loses a foreground response whose stream was %s', async (_how, events, error, code) => {
    const { options } = scripted([], []);
    const foreground = { ...streamed(stream(events, error)), background: false };
    expect(await outcomeOf(follow(foreground, options))).toMatchObject({ code });
  });

  it.each<[string, StreamEvent[]]>([
    ['after its text', [delta(1, 'x'), { type: 'response.output_text.done', text: 'x' }]],
    ['after its message', [delta(1, 'x'), { type: 'response.output_item.done', item: { type: 'message' } }]],
    ['with [DONE]', [delta(1, 'x'), { type: '[DONE]' }]],
  ])('completes a foreground response whose stream ends cleanly %s', async (_how, events) => {
    const { options } = scripted([], []);
    const foreground = { ...streamed(stream(events)), background: false };
    expect(await outcomeOf(follow(foreground, options))).toMatchObject({ id: 'resp_1', status: 'completed' });
  });

  it.each<[string, StreamEvent[]]>([
    ['[DONE] alone', [{ type: '[DONE]' }]],
    ['its reasoning', [{ type: 'response.output_item.done', item: { type: 'reasoning' } }]],
    ['the beginning of a second text', [{ type: 'response.output_text.done', text: 'x' }, delta(1, 'y')]],
  ])('loses a foreground response whose stream ends with %s', async (_how, events) => {
    const { options } = scripted([], []);
    const foreground = { ...streamed(stream(events)), background: false };
    expect(await outcomeOf(follow(foreground, options))).toMatchObject({ code: 'connection_lost' });
  });

  it('polls a background response whose events have no numbers, and does not read its text again', async () => {
    const { options, resumedAfter } = scripted([], [done]);
    const unnumbered: StreamEvent = { type: 'response.output_text.delta', delta: 'x' };
    expect(await outcomeOf(follow(streamed(stream([unnumbered], lost)), options))).toBe(done);
    expect(resumedAfter).toEqual([]);
  });

  it('stops polling when its signal aborts, and leaves no timer behind', async () => {
    const { options, controller } = scripted(
      [],
      Array.from({ length: 50 }, () => thinking),
    );
    const polled = { response: thinking, background: true, streamed: false };
    const following = follow(polled, options).catch((error: unknown) => error);
    await jest.advanceTimersByTimeAsync(MINUTE);
    const stop = new Error('stop');
    controller.abort(stop);
    expect(await following).toBe(stop);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('stops when its progress cannot be written because another worker has the job', async () => {
    const { options } = scripted([], [thinking]);
    const lostLock = new Error('lock lost');
    const polled = { response: thinking, background: true, streamed: false };
    const onProgress = async (): Promise<void> => {
      throw lostLock;
    };
    expect(await outcomeOf(follow(polled, { ...options, onProgress }))).toBe(lostLock);
  });

  it('takes twenty silent minutes for thinking, as long as the upstream says so', async () => {
    const { options, polledAt } = scripted(
      [],
      [...Array.from({ length: 240 }, () => thinking), ...Array.from({ length: 240 }, () => thinking), done],
    );
    const following = follow({ response: thinking, background: true, streamed: false }, options);
    const settled = following.catch((error: Error) => error);
    await jest.advanceTimersByTimeAsync(60 * MINUTE);
    expect(await settled).toBe(done);
    expect((polledAt.at(-1) ?? 0) - (polledAt[0] ?? 0)).toBeGreaterThan(20 * MINUTE);
  });

  it('fails after the stall time without an answer of the upstream, and not before', async () => {
    const { options, polledAt } = scripted([], [thinking, ...Array.from({ length: 300 }, () => lost)]);
    const polled = { response: thinking, background: true, streamed: false };
    const following = follow(polled, { ...options, stallMs: 5 * MINUTE });
    expect(await outcomeOf(following)).toMatchObject({ code: 'upstream_silent', retryable: true });
    expect((polledAt.at(-1) ?? 0) - (polledAt[0] ?? 0)).toBeGreaterThanOrEqual(5 * MINUTE);
  });

  it('does not count a rate limit as silence', async () => {
    const throttled = new RetryableError('rate_limited', 'slow down');
    const { options } = scripted([], [...Array.from({ length: 80 }, () => throttled), done]);
    const polled = { response: thinking, background: true, streamed: false };
    expect(await outcomeOf(follow(polled, { ...options, stallMs: MINUTE }))).toBe(done);
  });

  it('looks the response up at once when a webhook says that it has ended', async () => {
    const { options, polledAt } = scripted([], [thinking, thinking, thinking, thinking, thinking, done]);
    let wake = (): void => {};
    let listening = 0;
    const openAiEvents: FollowOptions['openAiEvents'] = {
      watch: (id, awake) => {
        expect(id).toBe('resp_1');
        listening += 1;
        wake = awake;
        return () => {
          listening -= 1;
        };
      },
      ended: () => {
        throw new Error('expected nobody to ask for all of them');
      },
    };
    const following = follow(
      { response: thinking, background: true, streamed: false },
      { ...options, openAiEvents },
    );
    await jest.advanceTimersByTimeAsync(2500);
    const before = polledAt.length;
    wake();
    await jest.advanceTimersByTimeAsync(1);
    expect(polledAt).toHaveLength(before + 1);
    await outcomeOf(following);
    expect(listening).toBe(0);
  });
});
