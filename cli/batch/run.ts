import { setMaxListeners } from 'node:events';
import { createSemaphore } from '../../src/async/semaphore.ts';
import type { O3Client } from '../../src/client/o3-client.ts';
import { answerLine, type Fate } from './answer.ts';
import { collectAnswers } from './collector.ts';
import { questionLines } from './input.ts';
import { type BatchKey, hashOfLine } from './key.ts';
import type { BatchOutput, OutputSurvey } from './output.ts';
import { type Origin, questionIn } from './question.ts';
import type { BatchRecord } from './record.ts';
import { createPatience } from './retry.ts';
import { createSubmission } from './submission.ts';

export interface BatchRunOptions {
  client: Pick<O3Client, 'enqueueBulk' | 'result'>;
  input: string;
  /** undefined: each line's own. */
  model: string | undefined;
  /** Of an earlier run. */
  done: Pick<OutputSurvey, 'has'>;
  output: BatchOutput;
  record: BatchRecord;
  /** How many jobs are at the instance at once, at most. */
  concurrency: number;
  /** Told of each line that has its answer. */
  onFate: (fate: Fate) => void;
  /** Told in words what holds things up. */
  say: (text: string) => void;
  signal: AbortSignal;
}

/**
 * Asks what is not answered yet, and writes answers as they come. Whatever breaks it off, between any two lines of it: what was asked is asked
 * again under the same key, and so is the same job; what is in the output is not asked again; and nothing else writes there.
 */
export async function runBatch(options: BatchRunOptions): Promise<void> {
  const { client, input, model, done, output, record, concurrency, onFate, say } = options;
  const stop = new AbortController();
  const { signal } = stop;
  // Hundreds of calls listen to it at the same time.
  setMaxListeners(0, signal);
  const follow = () => stop.abort(options.signal.reason);
  if (options.signal.aborted) follow();
  options.signal.addEventListener('abort', follow, { once: true });

  const patience = createPatience(say, signal);
  const window = createSemaphore(concurrency, signal);
  const settle = async (key: BatchKey, origin: Origin, fate: Fate): Promise<void> => {
    await output.write(answerLine(key, origin, fate));
    window.leave();
    onFate(fate);
  };
  const collector = collectAnswers({ client, patience, window, settle, signal });
  const submission = createSubmission({ client, patience, record, settle, collector, signal });

  const ask = async (): Promise<void> => {
    for await (const { number: line, bytes } of questionLines(input)) {
      if (done.has(line)) continue;
      signal.throwIfAborted();
      if (window.isFull) {
        await submission.send();
        await window.someLeft();
        // More places become free in a moment: one bulk for all of them.
        await submission.linger();
      }
      window.enter();
      const key = { batch: record.batch, line, hash: hashOfLine(bytes ?? Buffer.alloc(0)) };
      const question = questionIn(bytes, model);
      const { origin } = question;
      const id = record.jobOf(line);
      if (!question.ok) await settle(key, origin, { status: 'refused', error: question.error });
      else if (id !== undefined) collector.add({ key, origin, id });
      else await submission.add({ key, origin, request: question.request, bytes: bytes?.length ?? 0 });
    }
    await submission.send();
    await window.emptied();
    collector.close();
  };

  try {
    const working = [ask(), collector.ended];
    await Promise.all(working).catch(async (error: unknown) => {
      stop.abort(error);
      // Nobody writes any more when the output is closed.
      await Promise.allSettled(working);
      throw error;
    });
  } finally {
    options.signal.removeEventListener('abort', follow);
  }
}
