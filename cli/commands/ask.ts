import { type Command, Option } from 'commander';
import { oneLine } from '../../src/client/terminal-text.ts';
import { QueueError } from '../../src/errors/problem.ts';
import { type JobRequest, parseJobRequest } from '../../src/job/request.ts';
import type { JobView } from '../../src/job/view.ts';
import type { Quote } from '../../src/usage/quote.ts';
import { type CommandContext, printJson } from '../command-context.ts';
import { consoleUrl } from '../console-page.ts';
import { statusText } from '../display/job-table.ts';
import { finishWith, nextCommands, waitForOutcome } from '../display/outcome.ts';
import { quoteText } from '../display/quote.ts';
import { EXIT, EXIT_CODES_HELP, UsageError } from '../exit-code.ts';
import { metadataPair } from '../filter-options.ts';
import { idFor } from '../job-id.ts';
import { waitChoice, wholeNumber } from '../option.ts';
import { byOption, FUTURE_TIME_HELP, futureTime, neededByText, onLateOption } from '../time-option.ts';
import { followOutcome } from './follow.ts';
import { readQuestion, readRequest, type Work } from './question-input.ts';

interface AskOptions {
  context?: string;
  model?: string;
  instructions?: string;
  reasoningEffort?: string;
  maxOutputTokens?: number;
  priority?: number;
  delayMs?: number;
  maxAttempts?: number;
  timeoutMs?: number;
  by?: string;
  onLate?: 'wait' | 'buy_again';
  deadline?: string;
  metadata?: Record<string, string>;
  webhookUrl?: string;
  request?: string;
  idempotencyKey?: string;
  quote?: true;
  wait?: string | true;
  follow?: true;
  json?: true;
}

export function registerAskCommand(program: Command, context: CommandContext): void {
  program
    .command('ask')
    .summary('ask a question: enqueues a job')
    .description(
      'Enqueues a question as a job and prints the id of the job; with --wait, waits for the answer and ' +
        'prints it.',
    )
    .argument('[question]', 'the question; `-` or nothing: read it from stdin')
    .option('-c, --context <file>', 'a text file that belongs to the question; `-`: stdin')
    .option('-m, --model <model>', 'a configured model; default: the default model of the instance')
    .option('--instructions <text>', 'how the model should answer')
    .option('--reasoning-effort <effort>', 'how hard the model thinks: low, medium, high, …')
    .option('--max-output-tokens <n>', 'the most output tokens, reasoning included', wholeNumber)
    .option('--priority <n>', '0 (the default) starts first, larger numbers later', wholeNumber)
    .option('--delay-ms <ms>', 'start the job this many milliseconds from now, or later', wholeNumber)
    .option('--max-attempts <n>', 'the most attempts when the upstream fails', wholeNumber)
    .option('--timeout-ms <ms>', 'the longest that one attempt may take', wholeNumber)
    .addOption(byOption())
    .addOption(onLateOption())
    .option('--deadline <time>', `fail the job if it has not ended by then: ${FUTURE_TIME_HELP}`, futureTime)
    .option(
      '--metadata <key=value>',
      'kept with the job and sent to the upstream; may be given again',
      metadataPair,
    )
    .option('--webhook-url <url>', 'the address that is sent the end of the job')
    .option(
      '-r, --request <file>',
      'a body of the Responses API, as JSON, in place of a question; `-`: stdin',
    )
    .option('--idempotency-key <key>', 'the same question with the same key is the same job')
    .addOption(
      new Option('--quote', 'ask nothing: say what it would cost and when the answer would come').conflicts([
        ...['wait', 'follow', 'idempotencyKey'],
      ]),
    )
    .option(
      '-w, --wait [seconds]',
      'wait for the answer and print it; without a number, wait as long as it takes',
    )
    .option('-f, --follow', 'print the answer while it is written; in a pipe, when it is complete')
    .option('--json', 'print the JSON of the API: the job, with --wait its result, with --quote the quote')
    .addHelpText('after', EXAMPLES)
    .addHelpText('after', EXIT_CODES_HELP)
    .action((question: string | undefined, options: AskOptions) => ask(context, question, options));
}

async function ask(
  context: CommandContext,
  argument: string | undefined,
  options: AskOptions,
): Promise<void> {
  const { argument: question, timeoutMs } = waitChoice(argument, options.wait ?? options.follow);
  const work =
    options.request === undefined
      ? await readQuestion({ question, context: options.context }, context.input)
      : await readRequest(options.request, question, options, context.input);
  const request = requestFrom(work, options);
  const client = context.client();
  if (options.quote === true) {
    printQuote(context, await client.quote(request), request.needed_by, options.json === true);
    return;
  }
  const signal = context.interruption();
  let job: JobView;
  try {
    job = await client.enqueue(request, { signal, idempotencyKey: options.idempotencyKey });
  } catch (error: unknown) {
    if (!signal.aborted) throw error;
    context.notices.line(
      'Stopped before the instance answered; `o3q list` shows whether the job was enqueued.',
    );
    context.finish(EXIT.interrupted);
    return;
  }
  if (options.by !== undefined && options.json !== true) context.notices.line(neededByText(options.by));
  if (timeoutMs === undefined) {
    printEnqueued(context, job, consoleUrl(client, job.id), options.json === true);
    return;
  }
  if (options.follow === true && options.json !== true) {
    finishWith(context, job.id, ...(await followOutcome(context, client, job.id, signal)));
    return;
  }
  const outcome = await waitForOutcome(context, client, job.id, { timeoutMs, signal });
  finishWith(context, job.id, outcome, options.json === true ? 'json' : 'text');
}

/**
 * requestFrom builds the request and validates it. The instance validates it too, but here wrong usage costs
 * no round trip, and the message names the option.
 */
function requestFrom(work: Work, options: AskOptions): JobRequest {
  const fields = {
    ...work,
    model: options.model,
    instructions: options.instructions,
    reasoning_effort: options.reasoningEffort,
    max_output_tokens: options.maxOutputTokens,
    priority: options.priority,
    delay_ms: options.delayMs,
    max_attempts: options.maxAttempts,
    timeout_ms: options.timeoutMs,
    needed_by: options.by,
    on_late: options.onLate,
    deadline: options.deadline,
    webhook_url: options.webhookUrl,
    ...('question' in work && { metadata: options.metadata }),
  };
  try {
    return parseJobRequest(
      Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
    );
  } catch (error: unknown) {
    if (!(error instanceof QueueError)) throw error;
    const flaws = error.flaws.map(({ path, message }) =>
      path === '' || path === 'question' ? message : `--${path.replaceAll('_', '-')}: ${message}`,
    );
    throw new UsageError(flaws.join('\n').replaceAll('"needed_by"', '--by'), { cause: error });
  }
}

function printQuote(
  context: CommandContext,
  quote: Quote,
  neededBy: string | undefined,
  json: boolean,
): void {
  const { output } = context;
  if (json) printJson(context, quote);
  else output.line(quoteText(quote, { neededBy, now: Date.now() }, output));
}

function printEnqueued(context: CommandContext, job: JobView, page: string, json: boolean): void {
  const { output } = context;
  const id = oneLine(job.id);
  if (json) printJson(context, job);
  else if (output.isTerminal) {
    output.line(`${statusText(job)}  ${output.paint('bold', id)}`);
    const short = idFor(output, job.id);
    output.line(
      nextCommands(output, [
        [`o3q result ${short} --wait`, 'waits for the answer'],
        [`o3q follow ${short}`, 'prints it while it is written'],
        [`o3q cancel ${short}`, 'stops the job, and the spending'],
      ]),
    );
    output.line(`  ${output.paint('dim', page)}`);
  } else output.line(id);
}

const EXAMPLES = `
Examples:
  o3q ask "Why is the sky blue?"                      prints the id of the job
  o3q ask "Summarise this" --context report.md --wait
  o3q ask "A long story" --follow                      prints the answer while it is written
  o3q ask --request body.json --metadata customer=4711 --deadline 2h
  o3q ask "Plan the migration" --by "tomorrow 8:00"     may cost less than an answer at once
  o3q ask "A long review" --by "tomorrow 8:00" --quote  what it costs now, and tonight for less
  git diff | o3q ask "Review this change" --context - --wait 600 > review.md
  id=$(o3q ask "A hard one" --reasoning-effort high) && o3q result "$id" --wait
  o3q ask -- "-1 or +1?"                              a question that begins with a dash`;
