import { createPace } from '../../../src/async/pace.ts';
import { LockLostError } from '../../../src/run/purchase-hold.ts';
import type { RunProgress } from '../../../src/run/record.ts';
import type { NewEntry } from '../../../src/run/writer.ts';
import { createActiveAttempt, type InterruptionReason } from '../../../worker/attempt/active-attempt.ts';
import { createEventLogWriter, type EventLogWriter } from '../../../worker/attempt/event-log-writer.ts';
import type { StreamEvent } from '../../../worker/upstream/running-response.ts';

const BATCH_MS = 100;
const MOST_WAITING = 20_000;

interface Written {
  at: number;
  /** The texts of the deltas, each on its own. */
  texts: string[];
  progress: RunProgress;
}

/** An event log writer whose run record writer does what the test says. */
function newsroom({ perSecond = 1000, pace = createPace(perSecond), isResumable = false } = {}) {
  const written: Written[] = [];
  const interruptions: InterruptionReason[] = [];
  const active = createActiveAttempt();
  active.interrupt = (reason) => void interruptions.push(reason);
  let answer = async (): Promise<{ cancelRequested: boolean }> => ({ cancelRequested: false });
  const eventLogWriter = createEventLogWriter({
    writer: {
      async append(entry, progress) {
        written.push({ at: Date.now() - startedAt, texts: textsOf(entry), progress });
        return answer();
      },
    },
    active,
    pace,
    isResumable,
    identity: { upstreamId: 'resp_1' },
  });
  const startedAt = Date.now();
  return {
    eventLogWriter,
    written,
    interruptions,
    pace,
    watch: active.noteWatched.bind(active),
    answerWith(next: typeof answer) {
      answer = next;
    },
    /** All that was written, one after the other. */
    text: () => written.flatMap(({ texts }) => texts).join(''),
  };
}

function textsOf(entry: NewEntry): string[] {
  if (!('events' in entry) || entry.events === '') return [];
  return (JSON.parse(entry.events) as { delta: string }[]).map(({ delta }) => delta);
}

let sequence = 0;
/** One delta; `part` is the place it belongs to. */
function say(eventLogWriter: EventLogWriter, delta: string, part = 0): void {
  sequence += 1;
  const event: StreamEvent = {
    type: 'response.output_text.delta',
    sequence_number: sequence,
    item_id: 'msg_1',
    output_index: 0,
    content_index: part,
    delta,
  };
  eventLogWriter.add(event, { cursor: sequence });
}

const pass = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  jest.useFakeTimers();
  sequence = 0;
});
afterEach(() => jest.useRealTimers());

it('deltas within a tenth of a second are written as one entry', async () => {
  const { eventLogWriter, written } = newsroom();
  for (const word of ['It ', 'is ', 'dark.']) say(eventLogWriter, word);
  await pass(BATCH_MS - 1);
  expect(written).toEqual([]);
  await pass(1);
  expect(written).toEqual([
    { at: BATCH_MS, texts: ['It is dark.'], progress: { upstreamId: 'resp_1', cursor: 3 } },
  ]);
});

it('deltas of different places stay apart, in order', async () => {
  const { eventLogWriter, written } = newsroom();
  say(eventLogWriter, 'a', 0);
  say(eventLogWriter, 'b', 1);
  say(eventLogWriter, 'c', 1);
  say(eventLogWriter, 'd', 0);
  await pass(BATCH_MS);
  expect(written.map(({ texts }) => texts)).toEqual([['a', 'bc', 'd']]);
});

it('a stream that never pauses is written ten times a second, in order and whole', async () => {
  const { eventLogWriter, written, text } = newsroom();
  let said = '';
  for (let i = 0; i < 1000; i += 1) {
    say(eventLogWriter, `${i} `);
    said += `${i} `;
    await pass(1);
  }
  await pass(BATCH_MS);
  expect(text()).toBe(said);
  expect(written).toHaveLength(10);
  for (const [i, { at }] of written.slice(1).entries()) {
    expect(at - (written[i]?.at ?? 0)).toBeGreaterThanOrEqual(BATCH_MS);
  }
});

it('nothing is written when there are no events', async () => {
  const { written } = newsroom();
  await pass(10 * BATCH_MS);
  expect(written).toEqual([]);
});

it('an event that is not part of the answer moves the cursor too', async () => {
  const { eventLogWriter, written } = newsroom();
  eventLogWriter.add({ type: 'response.in_progress', sequence_number: 1 }, { cursor: 1 });
  await pass(BATCH_MS);
  expect(written).toMatchObject([{ texts: [], progress: { cursor: 1 } }]);
});

it('many writers of one process write less often each', async () => {
  const pace = createPace(10);
  const rooms = Array.from({ length: 5 }, () => newsroom({ pace }));
  for (const { eventLogWriter } of rooms) say(eventLogWriter, 'x');
  await pass(499);
  expect(rooms.flatMap(({ written }) => written)).toEqual([]);
  await pass(1);
  expect(rooms.flatMap(({ written }) => written)).toHaveLength(5);
  for (const { eventLogWriter } of rooms) eventLogWriter.stop();
  expect(pace.pauseMs()).toBe(0);
});

it('after stop nothing is written, not even events that were waiting', async () => {
  const { eventLogWriter, written } = newsroom();
  say(eventLogWriter, 'in time');
  await pass(BATCH_MS);
  say(eventLogWriter, 'too late');
  eventLogWriter.stop();
  say(eventLogWriter, 'later still');
  await pass(10 * BATCH_MS);
  expect(written).toMatchObject([{ texts: ['in time'] }]);
});

it('a stop during a write drops the events that came meanwhile', async () => {
  const { eventLogWriter, written, answerWith } = newsroom();
  let answered = (): void => {};
  answerWith(async () => {
    await new Promise<void>((resolve) => {
      answered = resolve;
    });
    return { cancelRequested: false };
  });
  say(eventLogWriter, 'one');
  await pass(BATCH_MS);
  say(eventLogWriter, 'two');
  eventLogWriter.stop();
  answered();
  await pass(10 * BATCH_MS);
  expect(written).toMatchObject([{ texts: ['one'] }]);
});

it('events that come during a write form the next entry', async () => {
  const { eventLogWriter, written, answerWith, text } = newsroom();
  let answered = (): void => {};
  answerWith(async () => {
    await new Promise<void>((resolve) => {
      answered = resolve;
    });
    return { cancelRequested: false };
  });
  say(eventLogWriter, 'one ');
  await pass(BATCH_MS);
  for (const word of ['two ', 'three ']) say(eventLogWriter, word);
  await pass(10 * BATCH_MS);
  expect(written).toHaveLength(1);
  answered();
  await pass(BATCH_MS);
  expect(written).toMatchObject([{ texts: ['one '] }, { texts: ['two three '] }]);
  expect(text()).toBe('one two three ');
});

it('an entry that cannot be written ends the event log, without a hole, and the attempt goes on', async () => {
  const { eventLogWriter, written, interruptions, answerWith } = newsroom();
  say(eventLogWriter, 'one');
  await pass(BATCH_MS);
  answerWith(async () => {
    throw new Error('OOM command not allowed');
  });
  say(eventLogWriter, 'lost');
  await pass(BATCH_MS);
  answerWith(async () => ({ cancelRequested: false }));
  say(eventLogWriter, 'after the hole');
  await pass(10 * BATCH_MS);
  expect(written).toMatchObject([{ texts: ['one'] }, { texts: ['lost'] }]);
  expect(interruptions).toEqual([]);
});

it('events are kept for a Redis that is away up to a bound, and dropped after that', async () => {
  const { eventLogWriter, written, answerWith, text } = newsroom();
  let back = (): void => {};
  const away = new Promise<void>((resolve) => {
    back = resolve;
  });
  answerWith(async () => {
    await away;
    return { cancelRequested: false };
  });
  say(eventLogWriter, 'before ');
  await pass(BATCH_MS);
  for (let i = 0; i < MOST_WAITING + 1000; i += 1) say(eventLogWriter, 'x');
  back();
  await pass(BATCH_MS);
  say(eventLogWriter, 'after');
  await pass(10 * BATCH_MS);
  expect(text()).toBe(`before ${'x'.repeat(MOST_WAITING)}`);
  // Whoever goes on from here has it all: the cursor is at the last that was written.
  expect(written.at(-1)?.progress).toMatchObject({ cursor: 1 + MOST_WAITING });
});

it('a lost lock interrupts the attempt, and nothing more is written', async () => {
  const { eventLogWriter, written, interruptions, answerWith } = newsroom();
  answerWith(async () => {
    throw new LockLostError('job_1');
  });
  say(eventLogWriter, 'one');
  await pass(BATCH_MS);
  say(eventLogWriter, 'two');
  await pass(10 * BATCH_MS);
  expect(interruptions).toEqual(['lock lost']);
  expect(written).toHaveLength(1);
});

it('the next entry finds a cancel mark and interrupts the attempt', async () => {
  const { eventLogWriter, interruptions, answerWith } = newsroom();
  answerWith(async () => ({ cancelRequested: true }));
  say(eventLogWriter, 'one');
  await pass(BATCH_MS);
  expect(interruptions).toEqual(['cancelled']);
});

describe('the log of a response that another worker can resume', () => {
  it('is written every two seconds while no caller reads it', async () => {
    const { eventLogWriter, written } = newsroom({ isResumable: true });
    for (let i = 0; i < 60; i += 1) {
      say(eventLogWriter, 'word ');
      await pass(BATCH_MS);
    }
    expect(written.map(({ at }) => at)).toEqual([2000, 4000, 6000]);
  });

  it('is written at once when a caller begins to read it, and then every tenth of a second', async () => {
    const { eventLogWriter, written, watch, text } = newsroom({ isResumable: true });
    say(eventLogWriter, 'It ');
    await pass(300);
    expect(written).toEqual([]);
    watch();
    await pass(0);
    expect(text()).toBe('It ');
    say(eventLogWriter, 'is dark.');
    await pass(BATCH_MS);
    expect(text()).toBe('It is dark.');
  });

  it('is written quickly from its beginning on when a caller was there before it', async () => {
    const { eventLogWriter, watch, text } = newsroom({ isResumable: true });
    watch();
    say(eventLogWriter, 'It is dark.');
    await pass(BATCH_MS);
    expect(text()).toBe('It is dark.');
  });

  it('is written every two seconds again 25 seconds after the last message of a caller', async () => {
    const { eventLogWriter, written, watch } = newsroom({ isResumable: true });
    watch();
    await pass(25_000);
    say(eventLogWriter, 'It is dark.');
    await pass(1900);
    expect(written).toEqual([]);
    await pass(100);
    expect(written).toHaveLength(1);
    // Another caller gets the text at once, as the first one did.
    say(eventLogWriter, 'Still.');
    watch();
    await pass(0);
    expect(written).toHaveLength(2);
  });
});
