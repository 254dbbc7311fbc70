import { type Command, InvalidArgumentError } from 'commander';
import { countText, durationText, numberText } from '../../src/client/quantity.ts';
import { type CommandContext, printJson } from '../command-context.ts';
import { nextCommands } from '../display/outcome.ts';
import { type BatchCount, startBatchProgress } from '../display/progress-bar.ts';
import { EXIT, UsageError } from '../exit-code.ts';
import { wholeNumber } from '../option.ts';
import { byOption, neededByText, onLateOption, pastFlaw, timeIn } from '../time-option.ts';
import { BatchError } from './files/file.ts';
import { type InputSurvey, questionLines, surveyInput } from './files/input.ts';
import type { LineOptions } from './files/input-line.ts';
import { hashOfLine } from './files/key.ts';
import { type OutputSurvey, openOutput, surveyOutput } from './files/output.ts';
import { costOf, errorOf } from './files/output-line.ts';
import { type BatchPaths, batchPaths, requireWritable } from './files/paths.ts';
import {
  type BatchTerms,
  batchOf,
  type FoundRecord,
  openRecord,
  readRecord,
  termsOf,
} from './files/record.ts';
import { runBatch } from './run.ts';

interface BatchOptions {
  out: string;
  model?: string;
  by?: { text: string; time: Date };
  onLate?: 'wait' | 'buy_again';
  concurrency: number;
  json?: true;
}

export function registerBatchCommand(program: Command, context: CommandContext): void {
  program
    .command('batch')
    .summary('ask a file of questions')
    .description(
      'Enqueues each line of a file as a job and writes the answers to another file as they arrive. ' +
        'You can stop it at any time: the same command continues where it stopped, and enqueues no line ' +
        'twice.',
    )
    .argument('<input>', 'JSON Lines: questions, bodies of POST /jobs, or lines of OpenAI’s Batch format')
    .requiredOption(
      '-o, --out <file>',
      '(required) the file for the answers, one line each, in the order in which they arrive; it must be ' +
        'absent, empty or hold answers of this batch; a batch never overwrites another file',
    )
    .option(
      '-m, --model <model>',
      'a configured model for all lines; default: the model that the line names, else the default model',
    )
    // A batch that continues may do so after the time by which its answers were needed.
    .addOption(byOption((text) => ({ text, time: timeIn(text, 'future', new Date()) })))
    .addOption(onLateOption())
    .option('--concurrency <n>', 'the most jobs that are unfinished at the same time', positive, 1000)
    .option('--json', 'print the summary as JSON')
    .addHelpText('after', HELP)
    .action((input: string, options: BatchOptions) => batch(context, input, options));
}

async function batch(context: CommandContext, input: string, options: BatchOptions): Promise<void> {
  const { output: stdout, notices } = context;
  const client = context.client();
  const survey = await surveyInput(input);
  const paths = await batchPaths(input, options.out);
  const asked: BatchTerms = {
    ...{ sha256: survey.sha256, model: options.model ?? null, instance: client.url },
    ...{ on_late: options.onLate, needed_by: options.by?.time.toISOString() },
  };
  const earlier = await readRecord(paths.record, asked);
  const done = await surveyOutput(paths.output, survey.lastLine);
  const begun: BatchCount = {
    total: survey.questions,
    done: done.done,
    failed: done.failed,
    costUsd: null,
  };
  const print = (count: BatchCount, words: string): void => {
    const answered = count.done - count.failed;
    if (options.json)
      printJson(context, { lines: count.total, answered, failed: count.failed, out: options.out });
    else stdout.line(words);
    context.finish(count.failed > 0 ? EXIT.failed : EXIT.done);
  };
  if (earlier.entries.length === 0 && (done.size ?? 0) > 0) {
    await requireComplete(input, paths, survey, done);
    print(begun, `Nothing to do: ${options.out} is complete, with ${endText(begun)}`);
    return;
  }

  requireSameBatch(earlier, done, paths);
  const terms = termsOf(earlier) ?? asked;
  const { by } = options;
  const flaw = terms === asked && by !== undefined ? pastFlaw(by.time, by.text, new Date()) : undefined;
  if (flaw !== undefined) throw new UsageError(`--by: ${flaw}`);
  await requireWritable(paths);
  // A wrong address or a refused key is reported at once, instead of after a long wait.
  await client.list({ limit: 1 });
  const record = await openRecord(paths.record, terms, earlier);
  const output = await openOutput(paths.output, done).catch(async (error: unknown) => {
    await (earlier.size === undefined ? record.remove() : record.close());
    throw error;
  });
  const signal = context.interruption();
  const count = { ...begun };
  const startedAt = performance.now();
  let isComplete = false;
  try {
    notices.line(beginningText(begun));
    if (terms.needed_by !== undefined) notices.line(`The answers are ${neededByText(terms.needed_by)}`);
    const progress = await startBatchProgress(notices, begun);
    try {
      await runBatch({
        client,
        input,
        sha256: survey.sha256,
        forAll: lineOptions(terms),
        done,
        output,
        record,
        concurrency: options.concurrency,
        onOutcome(outcome) {
          count.done += 1;
          if (errorOf(outcome) !== null) count.failed += 1;
          const cost = costOf(outcome);
          // Simulated answers cost nothing: a sum of $0.00 would look like the cost of real ones.
          if (cost !== null && cost > 0) count.costUsd = (count.costUsd ?? 0) + cost;
          progress.update(count);
        },
        say: progress.say,
        signal,
      });
    } finally {
      progress.end();
    }
    await output.requireWhole();
    isComplete = true;
  } catch (error: unknown) {
    notices.line(stoppedText(count));
    notices.line(
      nextCommands(notices, [[commandText(input, options.out, terms), 'continues where it stopped']]),
    );
    if (!signal.aborted) throw error;
    context.finish(EXIT.interrupted);
  } finally {
    await output.close();
    await (isComplete ? record.remove() : record.close());
  }
  if (isComplete) {
    print(
      count,
      `Done in ${durationText(performance.now() - startedAt)}: ${endText(count)} in ${options.out}`,
    );
  }
}

/**
 * requireComplete refuses an output without a record unless it is complete: an answer for each line of the
 * input, and nothing else.
 */
async function requireComplete(
  input: string,
  paths: BatchPaths,
  survey: InputSurvey,
  done: OutputSurvey,
): Promise<void> {
  let agreeing = 0;
  for await (const { number, bytes = Buffer.alloc(0) } of questionLines(input)) {
    if (done.agrees({ line: number, hash: hashOfLine(bytes) })) agreeing += 1;
  }
  const isWhole = done.wholeBytes === done.size;
  if (isWhole && agreeing === survey.questions && done.done === survey.questions) return;
  throw new BatchError(
    `${paths.output} was expected to hold the answers of ${input}, but they do not match, and ` +
      `${paths.record}, which a batch needs to continue, is missing: choose another --out`,
  );
}

function requireSameBatch(
  earlier: FoundRecord,
  { batch }: OutputSurvey,
  { output, record }: BatchPaths,
): void {
  if (batch === undefined || batch === batchOf(earlier)) return;
  throw new BatchError(`${output} and ${record} belong to two different batches: choose another --out`);
}

function beginningText(begun: BatchCount): string {
  return begun.done === 0
    ? `${countText(begun.total, 'line')} to ask; Ctrl-C stops, and the same command continues`
    : `Continuing: ${doneText(begun)}`;
}

function stoppedText(count: BatchCount): string {
  return `Stopped: ${doneText(count)}. Jobs that are already enqueued still run.`;
}

function doneText({ total, done, failed }: BatchCount): string {
  const bad = failed === 0 ? '' : ` (${numberText(failed)} failed)`;
  return `${numberText(done)} of ${countText(total, 'line')} done${bad}`;
}

function endText({ total, failed }: BatchCount): string {
  return `${countText(total, 'line')}${failed === 0 ? '' : `, ${numberText(failed)} without an answer`}`;
}

function commandText(input: string, out: string, terms: BatchTerms): string {
  const { model, needed_by: neededBy, on_late: onLate } = lineOptions(terms);
  const options = { model, by: neededBy, 'on-late': onLate };
  const given = Object.entries(options).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, value],
  );
  return ['o3q batch', input, '--out', out, ...given].join(' ');
}

/** Absent options are left out, because a line's own option counts where the batch has none. */
function lineOptions({ model, needed_by: neededBy, on_late: onLate }: BatchTerms): LineOptions {
  return {
    ...(model !== null && { model }),
    ...(neededBy !== undefined && { needed_by: neededBy }),
    ...(onLate !== undefined && { on_late: onLate }),
  };
}

function positive(text: string): number {
  const value = wholeNumber(text);
  if (value > 0) return value;
  throw new InvalidArgumentError('Expected a whole number, 1 or more.');
}

const HELP = `
Each line is one of
  "Why is the sky blue?"
  {"question": "Why is the sky blue?", "reasoning_effort": "high", "custom_id": "sky"}
  {"request": {"input": "Why is the sky blue?", "tools": []}}
  {"custom_id": "sky", "method": "POST", "url": "/v1/responses", "body": {"model": "o3", "input": "…"}}
docs/BATCH.md describes the output line that each becomes.

Exit codes:
  0    every line has an answer
  1    some lines have an error in the output instead; or the batch could not continue
  2    wrong usage
  130  interrupted; the same command continues

Examples:
  o3q batch questions.jsonl --out answers.jsonl

  Collect the lines that ended with an error, to ask them again:
  awk -F_ 'NR == FNR { if (!/"error":null}$/) again[$4]; next } FNR in again' answers.jsonl questions.jsonl > again.jsonl`;
