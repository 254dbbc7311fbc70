import {
  askO3,
  askO3Async,
  cancelO3,
  checkO3Status,
  getO3Result,
  listO3Tasks,
  progressLine,
  showO3Progress,
} from '../../../src/client/ask-o3.ts';
import { onFastClock } from '../../support/fast-clock.ts';
import { active, cancelled, completed, delayed, failed, waiting } from '../../support/http/job-views.ts';
import { unusedUrl } from '../../support/worlds/scripted-instance.ts';

const calls: [string, () => Promise<unknown>][] = [
  ['askO3Async', () => askO3Async('Why?')],
  ['checkO3Status', () => checkO3Status('1')],
  ['getO3Result', () => getO3Result('1')],
  ['listO3Tasks', () => listO3Tasks()],
  ['askO3', () => askO3('Why?')],
  ['showO3Progress', () => showO3Progress()],
  ['cancelO3', () => cancelO3('1')],
];

const before = process.env['O3Q_URL'];
afterEach(() => {
  if (before === undefined) delete process.env['O3Q_URL'];
  else process.env['O3Q_URL'] = before;
});

describe('without an instance', () => {
  it.each(calls)('%s answers with an err that says what to do', async (_, call) => {
    const url = await unusedUrl();
    process.env['O3Q_URL'] = url;
    expect(await onFastClock(call)).toEqual({
      ok: false,
      error: expect.stringContaining(`No o3-queue answers at ${url}`),
    });
  });

  it.each(calls)('%s answers with an err that says what is wrong with O3Q_URL', async (_, call) => {
    process.env['O3Q_URL'] = 'localhost:3000';
    expect(await call()).toEqual({
      ok: false,
      error: expect.stringMatching(/O3Q_URL.*got "localhost:3000"/s),
    });
  });
});

describe('a call with arguments that a function does not take', () => {
  const loose = (call: unknown) => call as (...args: unknown[]) => Promise<unknown>;

  it.each<[string, () => Promise<unknown>, string]>([
    [
      'askO3Async with options',
      () => loose(askO3Async)('Why?', undefined, {}),
      'askO3Async(question, context)',
    ],
    [
      'askO3Async with options for a context',
      () => loose(askO3Async)('Why?', { idempotencyKey: 'k' }),
      'context',
    ],
    ['askO3Async without a question', () => loose(askO3Async)(), 'question to be a string, got nothing'],
    ['checkO3Status', () => loose(checkO3Status)('1', 0, ['1']), 'checkO3Status(id), got 2 more'],
    ['checkO3Status with a number', () => loose(checkO3Status)(1), 'id to be a string, got 1'],
    ['getO3Result', () => loose(getO3Result)('1', { timeout: 5 }), 'getO3Result(id)'],
    ['listO3Tasks', () => loose(listO3Tasks)({ status: 'failed' }), 'listO3Tasks()'],
    [
      'askO3 with options for a context',
      () => loose(askO3)('Why?', { timeout: 5 }),
      'context to be a string',
    ],
    ['askO3 with an unknown option', () => loose(askO3)('Why?', undefined, { timeoutMs: 5 }), '"timeoutMs"'],
    [
      'askO3 with a number for options',
      () => loose(askO3)('Why?', undefined, 300),
      '{ timeout: 300 }, got 300',
    ],
    ['askO3 with a text for a timeout', () => loose(askO3)('Why?', undefined, { timeout: '5' }), 'got "5"'],
    [
      'askO3 with a fourth argument',
      () => loose(askO3)('Why?', undefined, {}, 1),
      'askO3(question, context, {',
    ],
    ['showO3Progress', () => loose(showO3Progress)(true), 'showO3Progress()'],
    ['cancelO3', () => loose(cancelO3)('1', 'now'), 'cancelO3(id)'],
  ])('%s is refused before anything is sent', async (_what, call, message) => {
    expect(await call()).toEqual({ ok: false, error: expect.stringContaining(message) });
  });
});

describe('askO3', () => {
  it.each([-1, Number.NaN])('enqueues nothing with a timeout of %d seconds', async (timeout) => {
    expect(await askO3('Why?', undefined, { timeout })).toEqual({
      ok: false,
      error: `Expected a timeout in seconds, 0 or more, got ${timeout}`,
    });
  });
});

describe('a line of progress', () => {
  it.each([
    [waiting, '⏳ [job-1] pending - Why is the sky blue?'],
    [delayed, '⏳ [job-1] pending - Why is the sky blue?'],
    [active, '🔄 [job-1] running - Why is the sky blue?'],
    [completed, '✅ [job-1] completed - Why is the sky blue?'],
    [failed, '❌ [job-1] error - Why is the sky blue?'],
    [cancelled, '🚫 [job-1] cancelled - Why is the sky blue?'],
  ])('has the icon and the status of the seven functions', (job, line) => {
    expect(progressLine(job)).toBe(line);
  });

  it('holds 50 characters of the question on one line', () => {
    expect(progressLine({ ...waiting, question: `a\nb\u001b${'c'.repeat(80)}` })).toBe(
      `⏳ [job-1] pending - a b${'c'.repeat(46)}...`,
    );
  });
});
