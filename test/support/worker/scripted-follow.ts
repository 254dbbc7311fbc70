import { createTurns } from '../../../src/async/turns.ts';
import { RetryableError } from '../../../src/errors/failure.ts';
import type { UpstreamResponse } from '../../../src/responses/response.ts';
import type { RunProgress } from '../../../src/run/record.ts';
import type { FollowOptions } from '../../../worker/attempt/follow.ts';
import type { RunningResponse, StreamEvent } from '../../../worker/upstream/running-response.ts';

export const MINUTE = 60_000;
export const done: UpstreamResponse = { id: 'resp_1', model: 'o3', status: 'completed', output: [] };
export const thinking: UpstreamResponse = { id: 'resp_1', status: 'in_progress' };
export const lost = new RetryableError('connection_lost', 'cut');

export const delta = (sequence_number: number, text: string): StreamEvent => ({
  type: 'response.output_text.delta',
  sequence_number,
  delta: text,
});
export const end = (sequence_number: number): StreamEvent => ({
  type: 'response.completed',
  sequence_number,
  response: done,
});

/** Events, and then an error if there is one. */
export async function* stream(events: StreamEvent[], error?: Error): AsyncGenerator<StreamEvent> {
  yield* events;
  if (error !== undefined) throw error;
}

/** An upstream that answers from a script: the n-th resume and the n-th lookup. */
export function scripted(
  resumes: (AsyncGenerator<StreamEvent> | Error)[],
  lookups: (UpstreamResponse | Error)[],
) {
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
      resume: async (_id, after) => {
        resumedAfter.push(after);
        return next(resumes);
      },
      retrieve: async () => {
        polledAt.push(Date.now());
        return next(lookups);
      },
      lostMs: 60_000,
      lookups: createTurns({ uselessPerSecond: 200, moreAfterUseful: 4, atOnce: 128 }),
      windowedLookups: createTurns({ uselessPerSecond: 8, moreAfterUseful: 4, atOnce: 128 }),
    },
    signal: controller.signal,
    cursor: undefined,
    outputCharacters: 0,
    createdAt: Date.now(),
    isWindowed: false,
    stallMs: 10 * MINUTE,
    now: () => Date.now(),
    openAiEvents: undefined,
    eventLogWriter: { add: (_event, now) => void progress.push(now) },
    onProgress: async (made) => void progress.push(made),
  };
  return { options, resumedAfter, progress, polledAt, controller };
}

export const streamed = (events?: AsyncGenerator<StreamEvent>): Omit<RunningResponse, 'simulated'> => ({
  response: thinking,
  background: true,
  streamed: true,
  ...(events !== undefined && { events }),
});

/** useFakeTimers runs each test of a file on timers that only `outcomeOf` and the test move. */
export function useFakeTimers(): void {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => {
    jest.restoreAllMocks();
    jest.useRealTimers();
  });
}

/** outcomeOf lets the pauses of the follower pass, and returns how it has ended. */
export async function outcomeOf(following: Promise<UpstreamResponse>): Promise<UpstreamResponse | Error> {
  const settled = following.catch((error: Error) => error);
  await jest.advanceTimersByTimeAsync(10 * MINUTE);
  return settled;
}
