import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { parseExact } from '../../../src/job/exact-json.ts';
import {
  createCompression,
  isCompressed,
  wholeData,
  wholeLength,
  wholeResponse,
} from '../../../src/job/fields/compression.ts';
import { type JobData, parseJobData } from '../../../src/job/request.ts';

/** English text, as long as wanted. */
const PROSE = readFileSync('docs/ARCHITECTURE.md', 'utf8');
const prose = (length: number): string => PROSE.repeat(Math.ceil(length / PROSE.length)).slice(0, length);

const compression = createCompression(8);
const stored = async (data: JobData): Promise<string> => String(await compression.data(data));
const read = async (json: string): Promise<unknown> => wholeData(parseExact(json));

describe('the data of a job', () => {
  // One length is compressed at once, the other in a thread.
  it.each([20_000, 1_000_000])('of %d characters comes back as it was, a third shorter', async (length) => {
    const data = {
      request: {
        input: prose(length),
        seed: parseExact('9223372036854775807'),
        temperature: parseExact('1.0'),
      },
      stream: true,
      deadline: '2027-01-31T12:00:00Z',
    } as JobData;
    const json = await stored(data);
    expect(json.length).toBeLessThan(length * 0.67);
    const { gzip, ...copies } = JSON.parse(json) as Record<string, unknown>;
    expect(gzip).toMatch(/^H4sI/);
    expect(copies).toEqual({ stream: true, deadline: '2027-01-31T12:00:00Z' });
    const whole = await read(json);
    expect(whole).toEqual(data);
    expect(parseJobData(whole)).toEqual(data);
  });

  it('has a short question beside it, and a long one within', async () => {
    const short = await stored({ question: 'Why?', context: prose(20_000), stream: true });
    expect(JSON.parse(short)).toEqual({ question: 'Why?', stream: true, gzip: expect.any(String) });
    const long = await stored({ question: prose(20_000), stream: true });
    expect(JSON.parse(long)).toEqual({ stream: true, gzip: expect.any(String) });
    expect(await read(long)).toEqual({ question: prose(20_000), stream: true });
  });

  it('stays plain when it is short, when gzip does not help, and when compression is off', async () => {
    const image = (bytes: number): string => `data:image/png;base64,${randomBytes(bytes).toString('base64')}`;
    for (const question of [prose(7000), image(20_000), image(300_000)]) {
      expect(await stored({ question })).toBe(JSON.stringify({ question }));
    }
    expect(createCompression(0).data({ question: prose(100_000) })).toBe(
      JSON.stringify({ question: prose(100_000) }),
    );
  });

  it('is refused when it is damaged, and when it would become larger than it says', async () => {
    const json = await stored({ question: prose(100_000) });
    const { gzip } = JSON.parse(json) as { gzip: string };
    const lying = gzipSync(JSON.stringify({ question: 'x'.repeat(1_000_000) }));
    lying.writeUInt32LE(100, lying.length - 4);
    const damaged = [gzip.slice(0, 200), 'no gzip', '', lying.toString('base64'), zipped('[1]'), zipped('{')];
    for (const one of damaged) {
      const data = { stream: true, gzip: one };
      expect(await wholeData(data)).toBe(data);
      expect(isCompressed(data)).toBe(true);
      expect(() => parseJobData(data)).toThrow(
        expect.objectContaining({
          code: 'invalid_request',
          message: expect.stringMatching(
            /^The request was refused: gzip: expected .* enqueue the request again$/,
          ),
        }),
      );
    }
  });

  it('says how long it is before it is decompressed', async () => {
    for (const length of [20_000, 20_001, 20_002]) {
      const json = JSON.stringify({ question: prose(length) });
      const data: unknown = JSON.parse(await stored(JSON.parse(json) as JobData));
      expect(isCompressed(data) && wholeLength(data)).toBe(Buffer.byteLength(json));
    }
  });
});

describe('a response', () => {
  it.each([20_000, 1_000_000])(
    'of %d characters comes back byte for byte, a third shorter',
    async (length) => {
      const response = { id: 'resp_1', output: [{ text: `${prose(length)} Größe 🚀 \ud83d` }] };
      const bytes = await compression.response(response);
      expect(bytes.length).toBeLessThan(length * 0.5);
      const whole = await wholeResponse(Buffer.from(bytes), 'job_1');
      expect(whole.toString()).toBe(JSON.stringify(response));
    },
  );

  it('that is plain is read as it is', async () => {
    const plain = Buffer.from('{"id":"resp_1"}');
    expect(await wholeResponse(plain, 'job_1')).toBe(plain);
    expect(compression.response({ id: 'resp_1' })).toBe('{"id":"resp_1"}');
  });

  it('that is damaged is an error that names its job and says what to do', async () => {
    const bytes = Buffer.from(await compression.response({ text: prose(100_000) }));
    for (const damaged of [bytes.subarray(0, 500), bytes.subarray(0, 3), Buffer.concat([bytes, bytes])]) {
      await expect(wholeResponse(damaged, 'job_1')).rejects.toMatchObject({
        code: 'answer_damaged',
        message: expect.stringMatching(/^The answer of job job_1 is damaged .*Delete the job, and enqueue/),
      });
    }
  });
});

function zipped(text: string): string {
  return gzipSync(text).toString('base64');
}
