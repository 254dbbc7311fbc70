import { sleep } from '../../src/async/sleep.ts';
import { O3ClientError } from '../../src/client/client-error.ts';
import type { O3Client } from '../../src/client/o3-client.ts';
import type { JobRequest } from '../../src/job/request.ts';
import type { AnswerCollector } from './collector.ts';
import type { Origin } from './files/input-line.ts';
import { type BatchKey, keyText } from './files/key.ts';
import type { LineOutcome } from './files/output-line.ts';
import type { BatchRecord } from './files/record.ts';
import type { Retry } from './retry.ts';

/** NewLine is an input line that is not a job yet. */
export interface NewLine {
  key: BatchKey;
  origin: Origin;
  request: JobRequest;
  /** The length of the line in the input, which is about its length in the bulk request. */
  bytes: number;
}

/** Submission gathers lines and enqueues them in bulk requests. */
export interface Submission {
  /** Adds a line, and sends the gathered lines when they fill a bulk request. */
  add(line: NewLine): Promise<void>;
  /** Enqueues the gathered lines. */
  send(): Promise<void>;
  /** Waits briefly, because more jobs may end in that time. */
  linger(): Promise<void>;
}

export interface SubmissionOptions {
  client: Pick<O3Client, 'enqueueBulk'>;
  retry: Retry;
  record: Pick<BatchRecord, 'addJobs'>;
  settle: (key: BatchKey, origin: Origin, outcome: LineOutcome) => Promise<void>;
  collector: Pick<AnswerCollector, 'add'>;
  signal: AbortSignal;
}

const MOST_IN_BULK = 1000;
/** The most bytes of lines in one bulk request. A longer line is a request of its own. */
const BULK_BYTES = 8 * 1024 * 1024;
const LINGER_MS = 30;
const TOO_LARGE = 413;

export function createSubmission(options: SubmissionOptions): Submission {
  const { client, retry, record, settle, collector, signal } = options;
  let gathered: NewLine[] = [];
  let gatheredBytes = 0;

  async function enqueue(lines: readonly NewLine[]): Promise<void> {
    const requests = lines.map(({ key, request }) => ({ ...request, idempotency_key: keyText(key) }));
    const outcomes = await retry(() => client.enqueueBulk(requests, { signal })).catch((error: unknown) => {
      if (error instanceof O3ClientError && error.status === TOO_LARGE) return error;
      throw error;
    });
    if (outcomes instanceof O3ClientError) return enqueueLess(lines, outcomes);
    const enqueued = lines.flatMap(({ key, origin }, i) => {
      const outcome = outcomes[i];
      return outcome?.ok === true ? [{ key, origin, id: outcome.job.id }] : [];
    });
    // The record is written before the batch waits for answers. Otherwise, after a crash, the next run could
    // not tell a job that the instance has deleted from a line that was never enqueued.
    if (enqueued.length > 0) await record.addJobs(enqueued.map(({ key, id }) => [key.line, id]));
    for (const line of enqueued) collector.add(line);
    for (const [i, { key, origin }] of lines.entries()) {
      const outcome = outcomes[i];
      if (outcome?.ok === false)
        await settle(key, origin, { status: 'refused', error: refusalFrom(outcome.error) });
    }
  }

  /**
   * A proxy in front of the instance may refuse a body that the instance would accept. Then the bulk is sent
   * again in two halves.
   */
  async function enqueueLess(lines: readonly NewLine[], error: O3ClientError): Promise<void> {
    const [line] = lines;
    if (lines.length === 1 && line !== undefined) {
      return settle(line.key, line.origin, { status: 'refused', error: refusalFrom(error) });
    }
    const half = Math.ceil(lines.length / 2);
    await enqueue(lines.slice(0, half));
    await enqueue(lines.slice(half));
  }

  const submission: Submission = {
    async add(line) {
      if (gatheredBytes + line.bytes > BULK_BYTES) await submission.send();
      gathered.push(line);
      gatheredBytes += line.bytes;
      if (gathered.length === MOST_IN_BULK) await submission.send();
    },
    async send() {
      const lines = gathered;
      gathered = [];
      gatheredBytes = 0;
      if (lines.length > 0) await enqueue(lines);
    },
    linger: () => sleep(LINGER_MS, signal),
  };
  return submission;
}

function refusalFrom({ code, message }: O3ClientError): { code: string; message: string } {
  return { code, message };
}
