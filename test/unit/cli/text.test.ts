import { EXIT, exitCodeOfJob, failureFrom, UsageError } from '../../../cli/exit-code.ts';
import { O3ClientError } from '../../../src/client/client-error.ts';
import { distanceText, durationText, latenessText } from '../../../src/client/quantity.ts';
import { oneLine, printable, printableJson } from '../../../src/client/terminal-text.ts';
import { active, cancelled, completed, delayed, failed, waiting } from '../../support/http/job-views.ts';

describe('a duration', () => {
  it.each([
    [-5, '0.0s'],
    [0, '0.0s'],
    [449, '0.4s'],
    [9949, '9.9s'],
    [9950, '9s'],
    [59_999, '59s'],
    [60_000, '1m 00s'],
    [184_000, '3m 04s'],
    [3_600_000, '1h 00m'],
    [7_380_000, '2h 03m'],
    [90_000_000, '1d 01h'],
  ])('of %d ms is %s', (durationMs, text) => {
    expect(durationText(durationMs)).toBe(text);
  });

  it('says whether a time is past or future', () => {
    const now = Date.parse('2025-01-01T00:01:00Z');
    expect(distanceText('2025-01-01T00:00:00Z', now)).toBe('1m 00s ago');
    expect(distanceText('2025-01-01T00:01:30Z', now)).toBe('in 30s');
  });

  it.each([
    [{ needed_by: null }, ''],
    [{ needed_by: '2025-01-01T00:02:00Z' }, ''],
    [{ needed_by: '2025-01-01T00:00:00Z' }, '1m 00s late'],
    [{ needed_by: '2025-01-01T00:00:00Z', finished_at: '2025-01-01T00:00:30Z' }, '30s late'],
    [{ needed_by: '2025-01-01T00:00:30Z', finished_at: '2025-01-01T00:00:10Z' }, ''],
  ])('says of %j by how much the answer is late: %j', (job, text) => {
    expect(latenessText(job, Date.parse('2025-01-01T00:01:00Z'))).toBe(text);
  });
});

describe('a text from outside', () => {
  it('loses control characters', () => {
    expect(oneLine('a\u001b[31mb\u0007c\u009b2Jd\u202ee\u2066f')).toBe('a[31mbc2Jdef');
    expect(printable('a\r\n\tb\u0000\u001b]8;;http://x\u0007c')).toBe('a\n\tb]8;;http://xc');
  });

  it('keeps its control characters in JSON, where a terminal cannot obey them', () => {
    const value = { text: 'a\u001b[31m\u009b2J\u007f\u202eb\n' };
    const json = printableJson(value, 2);
    expect(json).toBe('{\n  "text": "a\\u001b[31m\\u009b2J\\u007f\\u202eb\\n"\n}');
    expect(JSON.parse(json)).toEqual(value);
  });

  it('becomes one line', () => {
    expect(oneLine('  one \r\n\r\n two\u2028three\tfour ')).toBe('one two three four');
  });

  it('keeps letters and emoji', () => {
    const text = 'Größe 大きさ 👩‍🚀 می‌خواهم';
    expect(oneLine(text)).toBe(text);
    expect(printable(text)).toBe(text);
  });
});

describe('an exit code', () => {
  it.each([
    [completed, EXIT.done],
    [failed, EXIT.failed],
    [cancelled, EXIT.failed],
    [waiting, EXIT.unfinished],
    [delayed, EXIT.unfinished],
    [active, EXIT.unfinished],
  ])('says how a job ended', (job, exitCode) => {
    expect(exitCodeOfJob(job)).toBe(exitCode);
  });

  it('distinguishes wrong usage from a refusal of the instance', () => {
    expect(failureFrom(new UsageError('what?'))).toEqual({ exitCode: 2, message: 'what?' });
    expect(failureFrom(new O3ClientError('job_not_found', 'Job 1 not found'))).toEqual({
      exitCode: 1,
      message: 'Job 1 not found',
    });
  });

  it('leaves a bug to be printed with its stack', () => {
    expect(failureFrom(new TypeError('x is not a function'))).toBeUndefined();
  });
});
