import { setMaxListeners } from 'node:events';
import { RetryableError, TerminalError } from '../../../src/errors/failure.ts';
import { type FollowOptions, follow } from '../../../worker/attempt/follow.ts';
import {
  done,
  lost,
  MINUTE,
  outcomeOf,
  scripted,
  thinking,
  useFakeTimers,
} from '../../support/worker/scripted-follow.ts';

useFakeTimers();

describe('follow, when it polls,', () => {
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
    const { controller } = scripted([], []);
    setMaxListeners(0, controller.signal);
    const createdAt = Date.now() - MINUTE;
    const polled = { response: thinking, background: true, streamed: false };
    const others = Array.from({ length: 3999 }, () =>
      follow(polled, {
        ...options,
        ...{ createdAt, signal: controller.signal },
        upstream: { ...options.upstream, retrieve: async () => thinking },
      }).catch(() => {}),
    );
    await jest.advanceTimersByTimeAsync(MINUTE);
    const following = follow(polled, { ...options, createdAt });
    await jest.advanceTimersByTimeAsync(MINUTE);
    expect(await following).toBe(done);
    const [first = 0, second = 0] = polledAt;
    expect(second - first).toBeGreaterThanOrEqual(15_000);
    expect(second - first).toBeLessThanOrEqual(25_000);
    controller.abort();
    await Promise.all(others);
  });

  it('looks up a response that is old already at once, and then every five seconds', async () => {
    const { options, polledAt } = scripted([], [thinking, thinking, thinking, done]);
    const begunAt = Date.now();
    const polled = { response: thinking, background: true, streamed: true };
    const following = follow(polled, { ...options, createdAt: begunAt - 5 * MINUTE });
    expect(await outcomeOf(following)).toBe(done);
    expect(polledAt.map((at) => Math.round((at - begunAt) / 1000))).toEqual([0, 5, 10, 15]);
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

describe('a response within a window that has not ended when its answer is needed', () => {
  const cancelled = { id: 'resp_1', status: 'cancelled' };

  it.each([
    ['is cancelled after one more lookup', [cancelled], cancelled],
    ['is used when it ends before the cancel', [done], done],
    [
      'is followed on when the upstream does not cancel it, and cancelled again',
      [null, thinking, cancelled],
      cancelled,
    ],
  ])('%s', async (_, answers, end) => {
    const { options, polledAt } = scripted(
      [],
      Array.from({ length: 99 }, () => thinking),
    );
    const begunAt = Date.now();
    // `outcomeOf` lets ten minutes pass.
    const at = begunAt + 9 * MINUTE + 7000;
    const stoppedAt: number[] = [];
    const stop = async () => {
      stoppedAt.push(Date.now());
      return answers[stoppedAt.length - 1] ?? null;
    };
    const late = { at, stop };
    const polled = { response: thinking, background: true, streamed: false };
    const following = follow(polled, { ...options, isWindowed: true, stallMs: 99 * MINUTE, late });
    expect(await outcomeOf(following)).toBe(end);
    expect(stoppedAt).toHaveLength(answers.length);
    expect(stoppedAt[0]).toBeGreaterThanOrEqual(at);
    expect(stoppedAt[0]).toBeLessThan(at + 1000);
    expect(polledAt.filter((time) => time >= at)).toHaveLength(answers.length);
    expect(Date.now() - at).toBeLessThan(MINUTE);
  });

  it('is not cancelled while the upstream cannot be reached', async () => {
    const { options } = scripted([], [thinking, ...Array.from({ length: 9 }, () => lost), done]);
    const stop = async () => {
      throw new Error('expected no cancel');
    };
    const late = { at: Date.now() + 3000, stop };
    const polled = { response: thinking, background: true, streamed: false };
    const following = follow(polled, { ...options, isWindowed: true, stallMs: 99 * MINUTE, late });
    expect(await outcomeOf(following)).toBe(done);
  });
});

describe('when the clock of the machine is set back by ten minutes', () => {
  const polled = { response: thinking, background: true, streamed: false };
  const setBack = (): void => void jest.setSystemTime(Date.now() - 10 * MINUTE);

  it('a response that was just created is looked up at once all the same', async () => {
    const { options } = scripted([], [done]);
    const startedAt = performance.now();
    setBack();
    let took = Number.POSITIVE_INFINITY;
    const following = follow(polled, options).finally(() => {
      took = performance.now() - startedAt;
    });
    expect(await outcomeOf(following)).toBe(done);
    expect(took).toBeLessThan(1000);
  });

  it('a response that lookups do not find is lost after a minute all the same', async () => {
    const missing = new TerminalError('not_found', '404');
    const { options } = scripted(
      [],
      Array.from({ length: 99 }, () => missing),
    );
    const startedAt = performance.now();
    let took = Number.POSITIVE_INFINITY;
    const following = follow(polled, options).finally(() => {
      took = performance.now() - startedAt;
    });
    setTimeout(setBack, 30_000);
    expect(await outcomeOf(following)).toMatchObject({ code: 'response_lost' });
    expect(took).toBeLessThan(1.5 * MINUTE);
  });
});
