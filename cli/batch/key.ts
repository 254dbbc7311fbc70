import { createHash } from 'node:crypto';

/**
 * Names one line of one batch, and is what it is asked under: the same line asked again is the same job. It stands in each line of the
 * output, in the form of the ids of OpenAI's Batch API, so that the output itself tells what is done.
 */
export interface BatchKey {
  batch: string;
  line: number;
  /** Of the line as it stands in the input. */
  hash: string;
}

const KEY = 'batch_req_([0-9a-f]{16})_([0-9]{1,15})_([0-9a-f]{16})';
/** The two ways in which a line of the output begins. */
const OUTPUT_LINE = new RegExp(`^\\{(?:"line":[0-9]+,"key"|"id"):"${KEY}",`);

export function keyText({ batch, line, hash }: BatchKey): string {
  return `batch_req_${batch}_${line}_${hash}`;
}

/** @param beginning of a line of an output; undefined: no batch has written it. */
export function keyOfOutput(beginning: string): BatchKey | undefined {
  const [, batch, line, hash] = OUTPUT_LINE.exec(beginning) ?? [];
  if (batch === undefined || line === undefined || hash === undefined) return undefined;
  return { batch, line: Number(line), hash };
}

export function hashOfLine(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}
