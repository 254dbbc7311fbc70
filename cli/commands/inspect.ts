import type { Command } from 'commander';
import type { Config } from '../../src/config/environment.ts';
import type { JobInspection } from '../../src/job-store/inspection.ts';
import { type CommandContext, printJson } from '../command-context.ts';
import { inspectionText, withoutLongTexts } from '../display/inspection.ts';
import { UsageError } from '../exit-code.ts';
import { fullId, ID_HELP, isWholeId } from '../job-id.ts';

interface InspectOptions {
  scripts?: true;
  full?: true;
  json?: true;
}

export function registerInspectCommand(program: Command, context: CommandContext): void {
  program
    .command('inspect')
    .summary('show what Redis holds of a job')
    .description(
      'Shows everything that Redis holds of a job: keys and their expiry, the run, where the job stands, ' +
        'its lock, its reservations and the end of its event log. Reads Redis itself, so that it also works ' +
        'without a producer.',
    )
    .argument('[id]', ID_HELP)
    .option('--full', 'show long texts whole, such as the question')
    .option('--scripts', 'show the name of each Lua script by the sha that MONITOR and SLOWLOG show')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action((id: string | undefined, options: InspectOptions) => inspect(context, id, options));
}

async function inspect(
  context: CommandContext,
  id: string | undefined,
  options: InspectOptions,
): Promise<void> {
  if (options.scripts) return printScripts(context, options.json === true);
  if (id === undefined) {
    throw new UsageError('expected the id of a job, got none: o3q inspect ID, or o3q inspect --scripts');
  }
  const inspection = await readInspection(id);
  const shown = options.full ? inspection : withoutLongTexts(inspection);
  if (options.json) printJson(context, shown);
  else context.output.line(inspectionText(shown, context.output));
}

/** readInspection loads the code that reads Redis only now: other commands should not pay for it. */
async function readInspection(id: string): Promise<JobInspection> {
  const { readConfig } = await import('../../src/config/environment.ts');
  const { inspectJob } = await import('../../src/job-store/inspection.ts');
  const { connectRedis } = await import('../../src/redis/connection.ts');
  const { assertRedisUsable } = await import('../../src/redis/usable.ts');
  const config = readConfig();
  const { redisUrl, prefix } = config;
  if (redisUrl === undefined) {
    throw new UsageError(
      'expected REDIS_URL, got none: set it to the Redis of the producer and the workers. `npm start` logs ' +
        'the port of its embedded Redis when it starts, and .data/redis/password has the password: ' +
        'REDIS_URL=redis://:PASSWORD@127.0.0.1:PORT o3q inspect ID',
    );
  }
  const redis = connectRedis(redisUrl, 'fail-fast', { onError: () => {}, name: `${prefix}:inspect` });
  try {
    // The processes that write say at their start which settings of Redis can lose jobs.
    await assertRedisUsable(redis, redisUrl, { warn: () => {} });
    return await inspectJob(redis, prefix, config, await wholeId(config, redisUrl, id));
  } finally {
    redis.disconnect();
  }
}

/** wholeId returns the id that a part of it stands for, without a producer. */
async function wholeId(config: Config, redisUrl: string, part: string): Promise<string> {
  if (isWholeId(part)) return part;
  const { O3Queue } = await import('../../src/queue/o3-queue.ts');
  const { modelsOf } = await import('../../src/config/file.ts');
  const queue = new O3Queue({ ...modelsOf(config), redisUrl, prefix: config.prefix });
  try {
    return await fullId(queue, part);
  } finally {
    await queue.close();
  }
}

async function printScripts(context: CommandContext, json: boolean): Promise<void> {
  const { SCRIPTS } = await import('../../src/lua/scripts.ts');
  const scripts = SCRIPTS.map(({ name, sha }) => ({ sha, name }));
  if (json) printJson(context, scripts);
  else context.output.line(scripts.map(({ sha, name }) => `${sha}  ${name}`).join('\n'));
}

/**
 * RUN_FIELDS explains each field of a run's hash in Redis. Fields that one sentence explains stand together.
 */
export const RUN_FIELDS: readonly (readonly [names: readonly string[], meaning: string])[] = [
  [['started_at', 'finished_at'], 'when the first attempt started, and when the job ended'],
  [['attempt'], 'the number of the attempt, from 1; a retry by hand begins at 1 again'],
  [['attempts_before'], 'the attempts before the last retry by hand, which BullMQ still counts'],
  [['begun', 'holder'], "BullMQ's start time of the attempt, and the lock token of its worker"],
  [['stalled'], "BullMQ's count of stalls when the run ended"],
  [['reserved_model'], 'the upstream model whose quota is reserved for the job'],
  [['completion_window'], 'how long the upstream may take, at what discount: soonest, 2h or 8h'],
  [['tag_step'], "how far the job's start has moved its tenant's tag, while nothing is bought"],
  [['purchase_mark', 'purchase_mark_at'], 'fencing token and time of a create request without an answer yet'],
  [['purchase_mark_sender'], 'the lock token of the worker that sent that request'],
  [['purchase_mark_abandoned'], '1: the worker no longer waits for that answer; dead: that worker is dead'],
  [['purchases', 'uncertain_purchases'], 'responses that were bought, and that perhaps were bought'],
  [['cost_nano', 'booked'], 'the cost in billionths of a US dollar, and the last response booked there'],
  [['saved_nano'], 'what completion windows saved, in billionths of a US dollar'],
  [['estimates'], 'how many responses are booked there by an estimate'],
  [
    ['reserved_tokens', 'streamed_bytes'],
    'what such an estimate is made of: input and output, and what came',
  ],
  [['upstream_id', 'upstream_status'], 'the response at the upstream, and its last known status'],
  [['earlier_ids'], 'the responses that earlier attempts and runs bought'],
  [['background', 'streamed'], 'whether another worker can adopt the response, and follow its stream'],
  [['simulated'], 'whether the simulator made the response, which cost nothing'],
  [['response_created_at', 'seen_at'], 'when the response was bought, and when the upstream last told of it'],
  [['cursor', 'last_entry'], 'the last upstream event, and the last entry, that the event log holds'],
  [['event_log_bytes', 'output_characters'], 'the size of the event log, and of the answer so far'],
  [['purchase_trace'], 'the span of a trace in which the response was bought, if workers are traced'],
  [['attempt_trace'], 'the same of the last attempt that failed or ended the run'],
  [['busy_since'], 'since when the upstream has refused the job because its conversation is in use'],
  [['cancel_requested_at'], 'when a caller asked to cancel the job'],
  [['acts'], 'who has cancelled and retried the job: the time, what, the tenant, the long action'],
  [['status', 'summary', 'usage'], 'how the run ended, the result without its texts, and the tokens used'],
  [['error', 'refusal'], 'the error of the last failed attempt, and what the upstream said'],
];

const HELP = `
It reads REDIS_URL, O3Q_PREFIX and O3Q_CONFIG, which must be those of the producer and the workers.

What it shows:
  where it stands   BullMQ's set that holds the job, and the job's position in the fair queue
  lock              the lock of the worker that holds the job; it expires unless the worker renews it
  reservations      of a tenant: the expected cost of the job, in billionths of a US dollar
                    of an upstream model, separated by colons: the time in steps of 100 ms, the tokens,
                    the state (0 reserved, 1 sent, 2 counted by the upstream), the estimated input
                    tokens, and the class of similar jobs from whose use the tokens are estimated
  run               o3-queue's hash of the job, see below
  BullMQ            BullMQ's hash of the job, in BullMQ's words: atm counts attempts made, ats attempts
                    started, stc the times that a worker lost the job
  event log         the last entries of what the upstream streamed: a is the attempt, p the number of
                    responses bought by then, e the events, r the reason for a new attempt
  keys              every key of the job, with its type and expiry

Fields of the run (times are Unix milliseconds, 1 means yes):
${RUN_FIELDS.map(([names, meaning]) => `  ${names.join(', ')}\n      ${meaning}`).join('\n')}

Exit codes:
  0    success
  1    there is no such job, or Redis could not be reached
  2    wrong usage

Examples:
  o3q inspect job_01a2…
  o3q inspect job_01a2… --json | jq .place
  o3q inspect --scripts | grep run.finish`;
