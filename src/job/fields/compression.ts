import { promisify } from 'node:util';
import { gunzip, gunzipSync, gzip, gzipSync } from 'node:zlib';
import { createSemaphore } from '../../async/semaphore.ts';
import { QueueError } from '../../errors/problem.ts';
import { isJsonObject, parseExact, stringifyExact } from '../exact-json.ts';
import type { JobData } from '../request.ts';

/**
 * Texts of up to this length are compressed and decompressed at once, which takes a millisecond at most: to
 * hand them to a thread of Node's pool would cost nearly as much. Longer texts would hold up other callers.
 */
const INLINE_LENGTH = 128 * 1024;
/** Level 6, the default of gzip, needs 2.5 times the time, and makes English text 12 % shorter. */
const GZIP = { level: 1 };
/**
 * A text stays plain if gzip leaves more of it than this: images and files in base64, of which 75 % are left.
 * Base64 makes a third more of what is left of a request.
 */
const MOST_LEFT = 0.67;
/** A long text is compressed only if its middle, of this length, is worth it. */
const SAMPLE_LENGTH = 8 * 1024;
/** As many as Node's pool has threads. Each needs 270 KB of memory. */
const IN_THREADS = 4;
/** A string of a job's data that is longer is not copied beside the compressed data. */
const LONGEST_COPY = 1000;
/** A text of more bytes is damaged, or was made to do harm: the longest body of a request has half of it. */
const MOST_BYTES = 512 * 1024 ** 2;

const gzipInThread = promisify<string, typeof GZIP, Buffer>(gzip);
const gunzipInThread = promisify(gunzip);

/** StoredText is a text as it is sent to Redis. */
export type StoredText = string | Buffer;

/**
 * Compression makes what is stored of requests and answers. This file is the only one that compresses and
 * decompresses them.
 */
export interface Compression {
  /**
   * data returns a job's data as it is stored: its JSON, or JSON with the data in the field `gzip`, and with
   * copies of the short fields beside it (docs/DATA-FORMAT.md).
   */
  data(data: JobData): StoredText | Promise<StoredText>;
  /** response returns a response as it is stored: its JSON, or that as gzip. */
  response(response: object): StoredText | Promise<StoredText>;
}

/** @param aboveKb the length of JSON, in units of 1024 characters, above which it is compressed; 0: never. */
export function createCompression(aboveKb: number): Compression {
  const longest = aboveKb === 0 ? Number.POSITIVE_INFINITY : aboveKb * 1024;
  const threads = createSemaphore(IN_THREADS);

  const zippedInThread = async (text: string): Promise<Buffer | undefined> => {
    const middle = Math.floor((text.length - SAMPLE_LENGTH) / 2);
    const sample = text.slice(middle, middle + SAMPLE_LENGTH);
    if (unlessLong(gzipSync(sample, GZIP), sample) === undefined) return undefined;
    await threads.acquire(new AbortController().signal);
    try {
      return unlessLong(await gzipInThread(text, GZIP), text);
    } finally {
      threads.release();
    }
  };
  /** @returns undefined for a text that stays plain. */
  const zipped = (text: string): Buffer | undefined | Promise<Buffer | undefined> =>
    text.length <= INLINE_LENGTH ? unlessLong(gzipSync(text, GZIP), text) : zippedInThread(text);

  return {
    data(data) {
      const json = stringifyExact(data);
      if (json.length <= longest) return json;
      return then(zipped(json), (bytes) =>
        bytes === undefined ? json : stringifyExact({ ...copiesOf(data), gzip: bytes.toString('base64') }),
      );
    },
    response(response) {
      const json = JSON.stringify(response);
      return json.length <= longest ? json : then(zipped(json), (bytes) => bytes ?? json);
    },
  };
}

function then<In, Out>(value: In | Promise<In>, next: (value: In) => Out): Out | Promise<Out> {
  return value instanceof Promise ? value.then(next) : next(value);
}

function unlessLong(bytes: Buffer, text: string): Buffer | undefined {
  return bytes.length <= Buffer.byteLength(text) * MOST_LEFT ? bytes : undefined;
}

/**
 * Returns the fields of a job's data that other programs may want to read without decompressing it:
 * `deadline`, `metadata`, a short `question` and so on.
 */
function copiesOf(data: JobData): Record<string, unknown> {
  const isLong = (value: unknown): boolean => typeof value === 'string' && value.length > LONGEST_COPY;
  return Object.fromEntries(
    Object.entries(data).filter(([name, value]) => name !== 'request' && !isLong(value)),
  );
}

/**
 * wholeData returns a job's data with the fields that are compressed in its field `gzip`
 * (docs/DATA-FORMAT.md). Data without that field, and data that cannot be decompressed, is returned as it is:
 * `parseJobData` refuses the latter.
 */
export async function wholeData(data: unknown): Promise<unknown> {
  if (!isCompressed(data)) return data;
  const { gzip: packed, ...copies } = data;
  try {
    const json = await unzipped(Buffer.from(packed, 'base64'));
    const whole = parseExact(json.toString());
    return isJsonObject(whole) ? { ...whole, ...copies } : data;
  } catch {
    return data;
  }
}

/** CompressedData is the data of a job that is compressed in its field `gzip`. */
export interface CompressedData extends Record<string, unknown> {
  gzip: string;
}

/** isCompressed says whether a job's data is compressed. `wholeData` leaves only damaged data compressed. */
export function isCompressed(data: unknown): data is CompressedData {
  return isJsonObject(data) && typeof data['gzip'] === 'string';
}

/** wholeLength returns how many bytes of JSON compressed data has when it is decompressed. */
export function wholeLength({ gzip: packed }: CompressedData): number {
  // Four characters of base64 are three bytes.
  return lengthIn(Buffer.from(packed.slice(-8), 'base64'));
}

/**
 * wholeResponse returns the JSON of a response as a worker has stored it, in UTF-8.
 *
 * @param id the public id of the job.
 * @throws {QueueError} `answer_damaged`
 */
export async function wholeResponse(stored: Buffer, id: string): Promise<Buffer> {
  if (!isGzip(stored)) return stored;
  try {
    return await unzipped(stored);
  } catch (cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new QueueError(
      'answer_damaged',
      `The answer of job ${id} is damaged in Redis and cannot be decompressed (${why}). Delete the job, and ` +
        'enqueue its request again',
      { cause },
    );
  }
}

/** JSON never begins with the first two bytes of gzip (RFC 1952). */
function isGzip(stored: Buffer): boolean {
  return stored[0] === 0x1f && stored[1] === 0x8b;
}

/** Gzip ends with the length of the text (RFC 1952). */
function lengthIn(zipped: Buffer): number {
  return zipped.length < 4 ? 0 : zipped.readUInt32LE(zipped.length - 4);
}

/** @throws {Error} for bytes that are not gzip, and for a text that is longer than it says or than `MOST_BYTES`. */
async function unzipped(zipped: Buffer): Promise<Buffer> {
  const length = lengthIn(zipped);
  if (length > MOST_BYTES) throw new RangeError(`it would have ${length} bytes`);
  const options = { maxOutputLength: Math.max(1, length) };
  return length <= INLINE_LENGTH ? gunzipSync(zipped, options) : gunzipInThread(zipped, options);
}
