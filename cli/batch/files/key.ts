import { createHash } from 'node:crypto';

/**
 * BatchKey names one line of one batch. It is the line's idempotency key, so a line that is sent again gets
 * the same job. Each output line also holds its key, in the format of the ids of OpenAI's Batch API, so that
 * the output says which lines are done.
 */
export interface BatchKey {
  batch: string;
  line: number;
  /** The hash of the line's bytes in the input. */
  hash: string;
}

const KEY = 'batch_req_([0-9a-f]{16})_([0-9]{1,15})_([0-9a-f]{16})';
/** An output line begins in one of two ways. */
const OUTPUT_LINE = new RegExp(`^\\{(?:"line":[0-9]+,"key"|"id"):"${KEY}",`);
/** The beginning of a key, after `batch_req_`. */
const CUT_KEY = /^(?:[0-9a-f]{0,16}|[0-9a-f]{16}_[0-9]{0,15}|[0-9a-f]{16}_[0-9]{1,15}_[0-9a-f]{0,16}"?)$/;

export function keyText({ batch, line, hash }: BatchKey): string {
  return `batch_req_${batch}_${line}_${hash}`;
}

/**
 * keyOfOutput reads the key of an output line; undefined when the line was not written by a batch.
 *
 * @param beginning the first characters of the line.
 */
export function keyOfOutput(beginning: string): BatchKey | undefined {
  const [, batch, line, hash] = OUTPUT_LINE.exec(beginning) ?? [];
  if (batch === undefined || line === undefined || hash === undefined) return undefined;
  return { batch, line: Number(line), hash };
}

/**
 * isBeginningOfOutput says whether a last line without its end may be an output line that a killed run did
 * not write whole. It takes only lines that are too short to hold a key.
 */
export function isBeginningOfOutput(text: string): boolean {
  const [numbered = ''] = /^\{"line":[0-9]+/.exec(text) ?? [];
  const begun = [`${numbered || '{"line":'},"key":"batch_req_`, '{"id":"batch_req_'];
  return begun.some((whole) => whole.startsWith(text) || isCutKey(text, whole));
}

function isCutKey(text: string, before: string): boolean {
  return text.startsWith(before) && CUT_KEY.test(text.slice(before.length));
}

export function hashOfLine(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}
