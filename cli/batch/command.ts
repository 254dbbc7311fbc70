import { type Command, InvalidArgumentError } from 'commander';
import { type CommandContext, printJson } from '../command-context.ts';
import { durationText } from '../display/duration.ts';
import { nextCommands } from '../display/outcome.ts';
import { type BatchCount, numberText, startBatchProgress } from '../display/progress-bar.ts';
import { EXIT } from '../exit-code.ts';
import { wholeNumber } from '../option.ts';
import { costOf } from './answer.ts';
import { BatchError } from './error.ts';
import { type InputSurvey, questionLines, surveyInput } from './input.ts';
import { hashOfLine } from './key.ts';
import { type OutputSurvey, openOutput, surveyOutput } from './output.ts';
import { type BatchRecord, openRecord, readEntries, recordPath } from './record.ts';
import { runBatch } from './run.ts';

interface BatchOptions {
  out: string;
  model?: string;
  concurrency: number;
  json?: true;
}

export function registerBatchCommand(program: Command, context: CommandContext): void {
  program
    .command('batch')
    .summary('ask a file of questions')
    .description(
      'Asks each line of a file and writes the answers to another, as they come. Stopped at any time, the same command goes on where it stopped; nothing is asked twice.',
    )
    .argument('<input>', 'JSON Lines: questions, requests as POST /jobs takes them, or OpenAI’s Batch format')
    .requiredOption(
      '-o, --out <file>',
      '(required) where the answers go, a line each, in the order they come',
    )
    .option(
      '-m, --model <model>',
      'a configured model for all lines; default: the one each names, or the instance’s own',
    )
    .option('--concurrency <n>', 'how many jobs are at the instance at once', positive, 1000)
    .option('--json', 'print the summary as JSON')
    .addHelpText('after', HELP)
    .action((input: string, options: BatchOptions) => batch(context, input, options));
}

async function batch(context: CommandContext, input: string, options: BatchOptions): Promise<void> {
  const { output: stdout, notices } = context;
  const client = context.client();
  const survey = await surveyInput(input);
  const side = recordPath(options.out);
  const entries = await readEntries(side);
  const done = await surveyOutput(options.out, survey.lastLine);
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
  if (entries === undefined && done.done > 0) {
    await requireComplete(input, options.out, survey, done);
    print(begun, `Nothing to do: ${options.out} has all ${endText(begun)}`);
    return;
  }

  const terms = { sha256: survey.sha256, model: options.model ?? null, instance: client.url };
  // Said at once, and not after a long wait: a wrong address, or a key that is refused.
  await client.list({ limit: 1 });
  const output = await openOutput(options.out);
  const record = await openRecord(side, terms, entries);
  const signal = context.interruption();
  const count = { ...begun };
  const startedAt = performance.now();
  let isComplete = false;
  try {
    requireSameBatch(record, done, options.out);
    notices.line(beginningText(begun));
    const progress = await startBatchProgress(notices, begun);
    try {
      await runBatch({
        client,
        input,
        model: options.model,
        done,
        output,
        record,
        concurrency: options.concurrency,
        onFate(fate) {
          count.done += 1;
          if (fate.status !== 'completed') count.failed += 1;
          const cost = costOf(fate);
          if (cost !== null) count.costUsd = (count.costUsd ?? 0) + cost;
          progress.update(count);
        },
        say: progress.say,
        signal,
      });
    } finally {
      progress.end();
    }
    isComplete = true;
  } catch (error: unknown) {
    notices.line(stoppedText(count));
    notices.line(nextCommands(notices, [[commandText(input, options), 'goes on where it stopped']]));
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

/** Without its record an output can only be complete: then each line of the input has its answer there. */
async function requireComplete(
  input: string,
  out: string,
  survey: InputSurvey,
  done: OutputSurvey,
): Promise<void> {
  let agreeing = 0;
  for await (const { number, bytes = Buffer.alloc(0) } of questionLines(input)) {
    if (done.agrees({ line: number, hash: hashOfLine(bytes) })) agreeing += 1;
  }
  if (agreeing === survey.questions && done.done === survey.questions) return;
  throw new BatchError(
    `${out} has answers to other lines than ${input} has, and nothing beside it says how to go on (${recordPath(out)}): give another --out`,
  );
}

function requireSameBatch(record: BatchRecord, { batch }: OutputSurvey, out: string): void {
  if (batch === undefined || batch === record.batch) return;
  throw new BatchError(`${out} and ${recordPath(out)} are of two batches: give another --out`);
}

function beginningText(begun: BatchCount): string {
  return begun.done === 0
    ? `${numberText(begun.total)} lines to ask; Ctrl-C stops, and the same command goes on`
    : `Going on: ${doneText(begun)}`;
}

function stoppedText(count: BatchCount): string {
  return `Stopped: ${doneText(count)}. The jobs at the instance go on.`;
}

function doneText({ total, done, failed }: BatchCount): string {
  const bad = failed === 0 ? '' : ` (${numberText(failed)} failed)`;
  return `${numberText(done)} of ${numberText(total)} lines are done${bad}`;
}

function endText({ total, failed }: BatchCount): string {
  return `${numberText(total)} lines${failed === 0 ? '' : `, ${numberText(failed)} of them without an answer`}`;
}

function commandText(input: string, { out, model }: BatchOptions): string {
  return ['o3q batch', input, '--out', out, ...(model === undefined ? [] : ['--model', model])].join(' ');
}

function positive(text: string): number {
  const value = wholeNumber(text);
  if (value > 0) return value;
  throw new InvalidArgumentError('Expected a whole number, 1 or more.');
}

const HELP = `
A line is one of
  "Why is the sky blue?"
  {"question": "Why is the sky blue?", "reasoning_effort": "high", "custom_id": "sky"}
  {"request": {"input": "Why is the sky blue?", "tools": []}}
  {"custom_id": "sky", "method": "POST", "url": "/v1/responses", "body": {"model": "o3", "input": "…"}}
What each becomes is in docs/BATCH.md.

Exit codes:
  0    every line has its answer
  1    some have an error instead, in the output; or it could not go on
  2    wrong usage
  130  interrupted; the same command goes on

Examples:
  o3q batch questions.jsonl --out answers.jsonl

  What has an error, into a file that can be asked again:
  awk -F_ 'NR == FNR { if (!/"error":null}$/) again[$4]; next } FNR in again' answers.jsonl questions.jsonl > again.jsonl`;
