import { defaultModels } from '../../../src/config/file.ts';
import { RetryableError, TerminalError } from '../../../src/errors/failure.ts';
import { refusesBackground } from '../../../worker/upstream/errors.ts';
import { windowRefusalFrom } from '../../../worker/upstream/window-refusal.ts';
import {
  bodyInWindow,
  buysAgainAt,
  isTooLate,
  usedWindow,
  windowOf,
} from '../../../worker/windows/window.ts';

const asks = (completion_window: string) => ({ background_options: { completion_window } });

describe('the window of an attempt', () => {
  const [model] = Object.values(defaultModels().models);
  if (model === undefined) throw new Error('expected a model');
  const own = { model, upstreamModel: 'o3' };

  it.each([
    ['nothing', undefined, {}, undefined],
    ['what the dispatcher has chosen', '8h', {}, { name: '8h', isCallers: false }],
    ['what the request names', undefined, asks('2h'), { name: '2h', isCallers: true }],
    [
      'what the request names, and the dispatcher has noted',
      '2h',
      asks('2h'),
      { name: '2h', isCallers: true },
    ],
    ['a window that this queue does not know', undefined, asks('24h'), { name: '24h', isCallers: true }],
    ['nothing for soonest', undefined, asks('soonest'), undefined],
    ['nothing once the dispatcher has dropped it', 'soonest', asks('8h'), undefined],
  ] as const)('is %s', (_, chosen, body, expected) => {
    expect(windowOf(chosen, body, own)).toEqual(expected);
  });

  it('is dropped for a fallback that is not known to have windows', () => {
    const at = (upstreamModel: string) => windowOf(undefined, asks('8h'), { model, upstreamModel });
    expect(at('gpt-6.1-sol')).toBeUndefined();
    expect(at('gpt-6.2-astra-law')).toBeUndefined();
    expect(at('gpt-6.2-sol')?.name).toBe('8h');
    expect(at('gpt-6.2-astra-2026-11-17')?.name).toBe('8h');
  });
});

describe('the body of a create', () => {
  const body = { model: 'o3', input: 'Why?' };
  const chosen = { name: '8h', isCallers: false };

  it('names the window, Standard processing and that the answer is stored', () => {
    expect(bodyInWindow(body, chosen, undefined)).toEqual({
      ...body,
      ...{ store: true, service_tier: 'default' },
      background_options: { completion_window: '8h' },
    });
  });

  it('keeps what the caller has named', () => {
    const named = {
      ...body,
      store: false,
      service_tier: 'auto',
      background_options: { continuation_id: 'c' },
    };
    expect(bodyInWindow(named, chosen, 'of the queue')).toEqual({
      ...named,
      background_options: { completion_window: '8h', continuation_id: 'c' },
    });
  });

  it('names the chain of the job', () => {
    expect(bodyInWindow(body, chosen, 'chain')['background_options']).toEqual({
      ...{ completion_window: '8h', continuation_id: 'chain' },
    });
  });

  it('is the same object without a window, and loses one that was dropped', () => {
    expect(bodyInWindow(body, undefined, 'c')).toBe(body);
    expect(bodyInWindow({ ...body, ...asks('8h') }, undefined, 'c')).toEqual(body);
  });
});

describe('the refusal of a create with a window', () => {
  const refused = (status: number, refusal: { param?: string; code?: string; message?: string }) =>
    new TerminalError('invalid_request', 'no', {
      refusal: { status, type: null, code: null, param: null, message: 'no', ...refusal },
    });

  it.each([
    [400, { param: 'background_options' }],
    [400, { param: 'background_options.completion_window' }],
    [400, { param: 'stream' }],
    [400, { param: 'service_tier' }],
    [400, { param: 'model', message: 'This model is not supported with this option' }],
    [400, { message: 'The completion window requires background: true' }],
    [422, { message: 'Extra inputs are not permitted: background_options' }],
    [403, { message: 'Completion windows are not enabled for this project' }],
    [404, { param: 'background', message: 'There is no background mode' }],
  ])('is about the window: %s %j', (status, refusal) => {
    expect(windowRefusalFrom(refused(status, refusal))).toMatchObject({ code: 'invalid_request', refusal });
  });

  it.each([
    [400, { param: 'input' }],
    [400, { param: 'model', code: 'model_not_found' }],
    [401, { message: 'Incorrect API key provided' }],
    [429, { message: 'Too many requests within the completion window' }],
    [500, { message: 'completion window' }],
  ])('is about something else: %s %j', (status, refusal) => {
    expect(windowRefusalFrom(refused(status, refusal))).toBeUndefined();
  });

  it('is judged before the words that say that there is no background mode', () => {
    const error = refused(400, { message: 'A window of 8h requires background: true' });
    expect(refusesBackground(error)).toBe(true);
    expect(windowRefusalFrom(error)).toBeDefined();
  });

  it('is no refusal when the connection has broken', () => {
    expect(windowRefusalFrom(new RetryableError('connection_lost', 'background_options'))).toBeUndefined();
  });
});

describe('a late answer', () => {
  const needed_by = '2027-01-31T08:00:00+01:00';
  const at = Date.parse(needed_by);

  it.each([
    [{ needed_by, on_late: 'buy_again' }, at],
    [{ needed_by, on_late: 'wait' }, Number.POSITIVE_INFINITY],
    [{ needed_by }, Number.POSITIVE_INFINITY],
    [{ needed_by: 'soon', on_late: 'buy_again' }, Number.POSITIVE_INFINITY],
    ['no object', Number.POSITIVE_INFINITY],
  ])('of a job with %j is bought again at %s', (data, expected) => {
    expect(buysAgainAt(data)).toBe(expected);
  });

  it('is bought without a window from a minute before it is needed', () => {
    expect(isTooLate({ lateAt: at, now: at - 60_001 })).toBe(false);
    expect(isTooLate({ lateAt: at, now: at - 60_000 })).toBe(true);
    expect(isTooLate({ lateAt: Number.POSITIVE_INFINITY, now: at })).toBe(false);
  });

  it.each([
    ['by the times of the upstream', { created_at: 0, completed_at: 7201 }, '2h', 0, false],
    ['not by when the worker has found the end', { created_at: 0, completed_at: 7200 }, '2h', 9e6, true],
    ['by when the worker has found the end, if the upstream names no time', {}, '2h', 7_200_001, false],
    ['not within a longer window', { created_at: 0, completed_at: 7201 }, '8h', 0, true],
  ] as const)('misses its window %s', (_, times, name, tookMs, isMet) => {
    expect(usedWindow({ id: 'resp_1', ...times }, { name, isCallers: true }, tookMs)).toEqual({
      name,
      isMet,
    });
  });

  it('of a window of unknown length misses none', () => {
    const late = { id: 'resp_1', created_at: 0, completed_at: 1e6 };
    expect(usedWindow(late, { name: '24h', isCallers: true }, 0)).toBeUndefined();
  });
});
