import { O3ClientError } from '../../src/client/client-error.ts';
import type { O3Client } from '../../src/client/o3-client.ts';
import { pause } from '../../src/client/transport.ts';
import type { JobRequest } from '../../src/job/request.ts';
import type { Fate } from './answer.ts';
import type { AnswerCollector } from './collector.ts';
import { type BatchKey, keyText } from './key.ts';
import type { Origin } from './question.ts';
import type { BatchRecord } from './record.ts';
import type { Patience } from './retry.ts';

export interface NewLine {
  key: BatchKey;
  origin: Origin;
  request: JobRequest;
  /** How long it is in the input, which is about what it takes in the bulk. */
  bytes: number;
}

/** Gathers lines, and enqueues them in bulks. */
export interface Submission {
  add(line: NewLine): Promise<void>;
  /** Enqueues what has been gathered. */
  send(): Promise<void>;
  linger(): Promise<void>;
}

export interface SubmissionOptions {
  client: Pick<O3Client, 'enqueueBulk'>;
  patience: Patience;
  record: Pick<BatchRecord, 'addJobs'>;
  settle: (key: BatchKey, origin: Origin, fate: Fate) => Promise<void>;
  collector: Pick<AnswerCollector, 'add'>;
  signal: AbortSignal;
}

const MOST_IN_BULK = 1000;
/** The instance takes 10 MB. */
const BULK_BYTES = 8 * 1024 * 1024;
const LINGER_MS = 30;
const TOO_LARGE = 413;

export function createSubmission(options: SubmissionOptions): Submission {
  const { client, patience, record, settle, collector, signal } = options;
  let gathered: NewLine[] = [];
  let gatheredBytes = 0;

  async function enqueue(lines: readonly NewLine[]): Promise<void> {
    const requests = lines.map(({ key, request }) => ({ ...request, idempotency_key: keyText(key) }));
    const outcomes = await patience(() => client.enqueueBulk(requests, { signal })).catch(
      (error: unknown) => {
        if (error instanceof O3ClientError && error.status === TOO_LARGE) return error;
        throw error;
      },
    );
    if (outcomes instanceof O3ClientError) return enqueueLess(lines, outcomes);
    const enqueued = lines.flatMap(({ key, origin }, i) => {
      const outcome = outcomes[i];
      return outcome?.ok === true ? [{ key, origin, id: outcome.job.id }] : [];
    });
    // Before any answer is waited for: whoever goes on after a crash must not take a job that the instance has forgotten for one it never had.
    if (enqueued.length > 0) await record.addJobs(enqueued.map(({ key, id }) => [key.line, id]));
    for (const line of enqueued) collector.add(line);
    for (const [i, { key, origin }] of lines.entries()) {
      const outcome = outcomes[i];
      if (outcome?.ok === false)
        await settle(key, origin, { status: 'refused', error: refusalFrom(outcome.error) });
    }
  }

  /** What stands between us and the instance may take less than it does. */
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
    linger: () => pause(LINGER_MS, signal),
  };
  return submission;
}

function refusalFrom({ code, message }: O3ClientError): { code: string; message: string } {
  return { code, message };
}
