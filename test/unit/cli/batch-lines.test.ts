import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isBlank, linesOf } from '../../../cli/batch/files/file.ts';
import { type LineOptions, parseInputLine } from '../../../cli/batch/files/input-line.ts';
import { hashOfLine, keyOfOutput, keyText } from '../../../cli/batch/files/key.ts';
import { answerLine, isAnswered, type LineOutcome } from '../../../cli/batch/files/output-line.ts';
import { progressText } from '../../../cli/display/progress-bar.ts';
import { result } from '../../support/http/job-views.ts';

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'o3q-lines-'));
  file = join(folder, 'in.jsonl');
});
afterEach(() => rm(folder, { recursive: true }));

const read = async (content: string | Buffer, mostBytes?: number) => {
  await writeFile(file, content);
  const lines = [];
  for await (const line of linesOf(file, mostBytes)) lines.push(line);
  return lines;
};

describe('linesOf', () => {
  it('ends a line at a newline, and at no other character that looks like one', async () => {
    const lines = await read('"a\u2028b"\n\r\n"c"\r\n"d"');
    expect(lines.map(({ number, bytes, ended }) => [number, bytes?.toString(), ended])).toEqual([
      [1, '"a\u2028b"', true],
      [2, '\r', true],
      [3, '"c"\r', true],
      [4, '"d"', false],
    ]);
    expect(lines.map(isBlank)).toEqual([false, true, false, false]);
  });

  it('says where a line ends, wherever the chunks of the file end', async () => {
    const texts = Array.from({ length: 40 }, (_, i) => 'ä'.repeat(i * 997));
    const content = Buffer.from(texts.map((text) => `${text}\n`).join(''));
    const lines = await read(content);
    expect(lines.map(({ bytes }) => bytes?.toString())).toEqual(texts);
    for (const { bytes, end } of lines) {
      expect(content.subarray(end - 1 - (bytes?.length ?? 0), end - 1).equals(bytes ?? content)).toBe(true);
    }
  });

  it('skips the content of a line that is too long', async () => {
    const lines = await read(`"short"\n${'x'.repeat(1_000_000)}\n"after"\n`, 100);
    expect(lines.map(({ bytes }) => bytes?.toString())).toEqual(['"short"', undefined, '"after"']);
  });

  it('finds no lines in an empty file, and takes a byte order mark alone for a blank line', async () => {
    expect(await read('')).toEqual([]);
    expect((await read('\ufeff \n"x"')).map(isBlank)).toEqual([true, false]);
  });
});

describe('parseInputLine', () => {
  const asked = (line: string, forAll: LineOptions = {}) => parseInputLine(Buffer.from(line), forAll);

  it('reads a JSON string as a question', () => {
    expect(asked('\ufeff"Why?"\r')).toMatchObject({ ok: true, request: { question: 'Why?' } });
  });

  it('reads both formats of POST /jobs', () => {
    expect(asked('{"question":"Why?","custom_id":7,"metadata":{"a":"b"},"max_attempts":2}')).toEqual({
      ok: true,
      origin: { format: 'ours', customId: 7, metadata: { a: 'b' } },
      request: { question: 'Why?', metadata: { a: 'b' }, max_attempts: 2 },
    });
    expect(asked('{"request":{"input":"Why?","metadata":{"a":"b"}}}')).toEqual({
      ok: true,
      origin: { format: 'ours', customId: undefined, metadata: { a: 'b' } },
      request: { request: { input: 'Why?', metadata: { a: 'b' } } },
    });
  });

  it("reads a request of OpenAI's Batch API", () => {
    const line = {
      custom_id: 'c',
      method: 'POST',
      url: '/v1/responses',
      body: { model: 'o3', input: 'Why?' },
    };
    expect(asked(JSON.stringify(line))).toEqual({
      ok: true,
      origin: { format: 'openai', customId: 'c' },
      request: { request: { model: 'o3', input: 'Why?' } },
    });
  });

  it('replaces the model of a line with the one for all lines', () => {
    expect(asked('"Why?"', { model: 'mini' })).toMatchObject({ request: { model: 'mini' } });
    expect(asked('{"question":"Why?","model":"o3"}', { model: 'mini' })).toMatchObject({
      request: { model: 'mini' },
    });
    const line = {
      custom_id: 'c',
      method: 'POST',
      url: '/v1/responses',
      body: { model: 'o3', input: 'Why?' },
    };
    expect(asked(JSON.stringify(line), { model: 'mini' })).toMatchObject({ request: { model: 'mini' } });
  });

  it('says for all lines when their answers are needed, also for a line that says something else', () => {
    const needed_by = '2026-11-30T07:00:00.000Z';
    const line = '{"question":"Why?","needed_by":"2026-12-24T07:00:00Z","on_late":"buy_again"}';
    expect(asked(line, { needed_by })).toMatchObject({ request: { needed_by, on_late: 'buy_again' } });
    expect(asked('"Why?"', { on_late: 'wait' })).toMatchObject({ error: { code: 'invalid_request' } });
  });

  const openAi = (change: object) =>
    JSON.stringify({
      custom_id: 'c',
      method: 'POST',
      url: '/v1/responses',
      body: { input: 'Why?' },
      ...change,
    });

  it.each([
    ['malformed_json', '{"question":'],
    ['malformed_json', '"half\\ud800'],
    ['invalid_request', '42'],
    ['invalid_request', 'null'],
    ['invalid_request', '["Why?"]'],
    ['invalid_request', '{}'],
    ['invalid_request', '{"question":""}'],
    ['invalid_request', '{"question":"Why?","colour":"blue"}'],
    ['invalid_request', '{"question":"Why?","idempotency_key":"mine"}'],
    ['invalid_request', openAi({ custom_id: 7 })],
    ['invalid_request', openAi({ method: 'GET' })],
    ['unsupported_url', openAi({ url: '/v1/chat/completions' })],
    ['invalid_request', openAi({ body: null })],
    ['invalid_request', openAi({ body: 'Why?' })],
  ])('answers with the code %s for the line %s', (code, line) => {
    expect(asked(line)).toMatchObject({ ok: false, error: { code, message: expect.stringMatching(/\S/) } });
  });

  it('refuses a line that is nested too deep to be serialized again', () => {
    const deep = `{"request":{"input":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`;
    expect(asked(deep)).toMatchObject({ ok: false, error: { code: 'invalid_request' } });
  });

  it('refuses a line that is not UTF-8 or is too long', () => {
    expect(parseInputLine(Buffer.from([0x22, 0xff, 0x22]), {})).toMatchObject({
      error: { code: 'malformed_json' },
    });
    expect(parseInputLine(undefined, {})).toMatchObject({ error: { code: 'line_too_long' } });
  });
});

describe('an output line', () => {
  const key = { batch: '0123456789abcdef', line: 7, hash: hashOfLine(Buffer.from('"Why?"')) };
  const ours = { format: 'ours', customId: 'mine', metadata: { a: 'b' } } as const;
  const openAi = { format: 'openai', customId: 'c' } as const;
  const completed = { status: 'completed', id: 'job_1', result } as const;
  const failed = {
    status: 'failed',
    id: 'job_1',
    error: { code: 'timeout', message: 'Too "slow"' },
    costUsd: 0.5,
  } as const;

  it('has the format of its input line', () => {
    expect(JSON.parse(answerLine(key, ours, completed))).toEqual({
      line: 7,
      key: keyText(key),
      custom_id: 'mine',
      id: 'job_1',
      status: 'completed',
      answer: result.answer,
      usage: result.usage,
      cost_usd: result.cost_usd,
      incomplete_reason: null,
      refusal: null,
      metadata: { a: 'b' },
      error: null,
    });
    expect(JSON.parse(answerLine(key, openAi, completed))).toEqual({
      id: keyText(key),
      custom_id: 'c',
      response: { status_code: 200, request_id: 'job_1', body: result.response },
      error: null,
    });
  });

  it('has an error when there is no answer', () => {
    expect(JSON.parse(answerLine(key, ours, failed))).toMatchObject({
      id: 'job_1',
      status: 'failed',
      answer: null,
      cost_usd: 0.5,
      error: failed.error,
    });
    expect(JSON.parse(answerLine(key, openAi, failed))).toEqual({
      id: keyText(key),
      custom_id: 'c',
      response: null,
      error: failed.error,
    });
    const unanswered: LineOutcome = { ...completed, result: { ...result, answer: null, refusal: 'Never.' } };
    for (const origin of [ours, openAi]) {
      const line = answerLine(key, origin, unanswered);
      expect(JSON.parse(line)).toMatchObject({
        error: { code: 'no_answer', message: 'the model refused: Never.' },
      });
      expect(isAnswered(line)).toBe(false);
    }
    const refused = { status: 'refused', error: { code: 'malformed_json', message: 'no JSON' } } as const;
    expect(JSON.parse(answerLine(key, ours, refused))).toMatchObject({ id: null, status: 'refused' });
  });

  it.each([
    ['ours', ours],
    ['OpenAI’s', openAi],
  ])('shows which line it answers, and whether it is an answer: %s', (_name, origin) => {
    expect(keyOfOutput(answerLine(key, origin, completed).slice(0, 100))).toEqual(key);
    expect(isAnswered(answerLine(key, origin, completed).slice(-30))).toBe(true);
    expect(isAnswered(answerLine(key, origin, failed).slice(-30))).toBe(false);
    // The metadata may hold any text.
    const sly = { ...failed, error: { code: 'x', message: '"error":null}' } };
    expect(isAnswered(answerLine(key, origin, sly))).toBe(false);
  });

  it('is not recognized when another program wrote it', () => {
    expect(keyOfOutput('{"line":1,"answer":"…"}')).toBeUndefined();
    expect(keyOfOutput('{"id":"batch_req_wnaDys","custom_id":"c"}')).toBeUndefined();
  });
});

test('progressText says how much is done, the cost, the speed and the remaining time', () => {
  const begun = { total: 50_000, done: 1000, failed: 0, costUsd: null };
  expect(progressText(begun, begun, 0)).toBe('1,000 of 50,000 (2%)');
  expect(progressText({ ...begun, done: 11_000, failed: 3, costUsd: 12.3456 }, begun, 100_000)).toBe(
    '11,000 of 50,000 (22%), 3 failed, $12.35 in this run, 100/s, 6m 30s to go',
  );
  expect(progressText({ ...begun, done: 1001 }, begun, 20_000)).toMatch(/, 3\.0\/min, /);
  expect(progressText({ ...begun, done: 50_000 }, begun, 100_000)).toBe('50,000 of 50,000 (100%), 490/s');
});
