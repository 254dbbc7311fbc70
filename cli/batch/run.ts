import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { createSemaphore } from '../../src/async/semaphore.ts';
import type { O3Client } from '../../src/client/o3-client.ts';
import { collectAnswers } from './collector.ts';
import { BatchError } from './files/file.ts';
import { questionLines } from './files/input.ts';
import { type LineOptions, type Origin, parseInputLine } from './files/input-line.ts';
import { type BatchKey, hashOfLine } from './files/key.ts';
import type { BatchOutput, OutputSurvey } from './files/output.ts';
import { answerLine, type LineOutcome } from './files/output-line.ts';
import type { BatchRecord } from './files/record.ts';
import { createRetry } from './retry.ts';
import { createSubmission } from './submission.ts';

export interface BatchRunOptions {
  client: Pick<O3Client, 'enqueueBulk' | 'result'>;
  input: string;
  /** The hash of the input at the time of the survey. */
  sha256: string;
  /** What counts for all lines. */
  forAll: LineOptions;
  /** The lines that an earlier run has written. */
  done: Pick<OutputSurvey, 'has'>;
  output: BatchOutput;
  record: BatchRecord;
  /** The most jobs that are unfinished at the same time. */
  concurrency: number;
  /** Called after each line that has been written to the output. */
  onOutcome: (outcome: LineOutcome) => void;
  /** Called with a sentence for the user when the instance is away, and when it is back. */
  say: (text: string) => void;
  signal: AbortSignal;
}

/**
 * runBatch enqueues the lines that have no output line yet, and writes answers as they arrive. A crash
 * between any two of its steps buys nothing twice. The next run enqueues a line under the same idempotency
 * key, so it gets the same job. It does not enqueue a line that is in the output.
 */
export async function runBatch(options: BatchRunOptions): Promise<void> {
  const { client, input, forAll, done, output, record, concurrency, onOutcome, say } = options;
  const stop = new AbortController();
  const { signal } = stop;
  // Hundreds of calls listen to this signal at the same time.
  setMaxListeners(0, signal);
  const follow = () => stop.abort(options.signal.reason);
  if (options.signal.aborted) follow();
  options.signal.addEventListener('abort', follow, { once: true });

  const retry = createRetry(say, signal);
  const window = createSemaphore(concurrency);
  const settle = async (key: BatchKey, origin: Origin, outcome: LineOutcome): Promise<void> => {
    await output.write(answerLine(key, origin, outcome));
    window.release();
    onOutcome(outcome);
  };
  const collector = collectAnswers({ client, retry, window, settle, signal });
  const submission = createSubmission({ client, retry, record, settle, collector, signal });

  const ask = async (): Promise<void> => {
    const hash = createHash('sha256');
    for await (const { number: line, bytes } of questionLines(input, (chunk) => hash.update(chunk))) {
      if (done.has(line)) continue;
      signal.throwIfAborted();
      const wasFull = window.isFull;
      if (wasFull) await submission.send();
      await window.acquire(signal);
      // Jobs often end together: a short wait lets one bulk request fill all the free slots.
      if (wasFull) await submission.linger();
      signal.throwIfAborted();
      const key = { batch: record.batch, line, hash: hashOfLine(bytes ?? Buffer.alloc(0)) };
      const parsed = parseInputLine(bytes, forAll);
      const { origin } = parsed;
      const id = record.jobOf(line);
      if (!parsed.ok) await settle(key, origin, { status: 'refused', error: parsed.error });
      else if (id !== undefined) collector.add({ key, origin, id });
      else await submission.add({ key, origin, request: parsed.request, bytes: bytes?.length ?? 0 });
    }
    await submission.send();
    await window.idle(signal);
    if (hash.digest('hex') !== options.sha256) {
      throw new BatchError(
        `${input} was changed while the batch read it: choose another --out for the lines as they are now`,
      );
    }
    signal.throwIfAborted();
    collector.close();
  };

  try {
    const working = [ask(), collector.ended];
    await Promise.all(working).catch(async (error: unknown) => {
      stop.abort(error);
      // The caller closes the output next, so no write may be under way any more.
      await Promise.allSettled(working);
      throw error;
    });
  } finally {
    options.signal.removeEventListener('abort', follow);
  }
}
