import { promisify } from 'node:util';
import { gunzip, gunzipSync } from 'node:zlib';
import { QueueError } from '../errors/problem.ts';
import { isJsonObject, parseExact } from './exact-json.ts';

/**
 * Texts of up to this many bytes are decompressed at once, which takes a tenth of a millisecond. For longer
 * texts that would hold up other callers, so a thread of Node's pool does it.
 */
const INLINE_BYTES = 64 * 1024;
/** A text of more bytes is damaged, or was made to do harm: the longest body of a request has half of it. */
const MOST_BYTES = 512 * 1024 ** 2;

const gunzipInThread = promisify(gunzip);

/**
 * wholeData returns a job's data with the fields that are compressed in its field `gzip`
 * (docs/DATA-FORMAT.md). Data without that field, and data that cannot be decompressed, is returned as it is:
 * `parseJobData` refuses the latter.
 *
 * @param mostBytes data that is longer than this when it is decompressed is returned as it is.
 */
export async function wholeData(data: unknown, mostBytes = MOST_BYTES): Promise<unknown> {
  if (!isCompressed(data)) return data;
  const { gzip, ...copies } = data;
  try {
    const json = await unzipped(Buffer.from(gzip, 'base64'), mostBytes);
    const whole = parseExact(json.toString());
    return isJsonObject(whole) ? { ...whole, ...copies } : data;
  } catch {
    return data;
  }
}

/** isCompressed says whether a part of a job's data is compressed. `wholeData` leaves only damaged data so. */
export function isCompressed(data: unknown): data is Record<string, unknown> & { gzip: string } {
  return isJsonObject(data) && typeof data['gzip'] === 'string';
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
    return await unzipped(stored, MOST_BYTES);
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

/** @throws {Error} for bytes that are not gzip, and for a text of more bytes than `mostBytes`. */
async function unzipped(zipped: Buffer, mostBytes: number): Promise<Buffer> {
  // Gzip ends with the length of the text. A text that turns out to be longer is refused.
  const length = zipped.length < 4 ? 0 : zipped.readUInt32LE(zipped.length - 4);
  if (length > mostBytes) throw new RangeError(`it would have ${length} bytes`);
  const options = { maxOutputLength: Math.max(1, length) };
  return length <= INLINE_BYTES ? gunzipSync(zipped, options) : gunzipInThread(zipped, options);
}
