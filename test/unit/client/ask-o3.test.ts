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
  it.each(calls)('%s answers with what to do', async (_, call) => {
    const url = await unusedUrl();
    process.env['O3Q_URL'] = url;
    expect(await onFastClock(call)).toEqual({
      ok: false,
      error: expect.stringContaining(`No o3-queue answers at ${url}`),
    });
  });

  it.each(calls)('%s answers with what is wrong with O3Q_URL', async (_, call) => {
    process.env['O3Q_URL'] = 'localhost:3000';
    expect(await call()).toEqual({
      ok: false,
      error: expect.stringMatching(/O3Q_URL.*got "localhost:3000"/s),
    });
  });
});

describe('askO3', () => {
  it.each([-1, Number.NaN])('asks nothing with a timeout of %d seconds', async (timeout) => {
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
  ])("has the plan's mark and word", (job, line) => {
    expect(progressLine(job)).toBe(line);
  });

  it('holds 50 characters of the question on one line', () => {
    expect(progressLine({ ...waiting, question: `a\nb\u001b${'c'.repeat(80)}` })).toBe(
      `⏳ [job-1] pending - a b${'c'.repeat(46)}...`,
    );
  });
});
