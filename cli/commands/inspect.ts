import type { Command } from 'commander';
import type { JobInspection } from '../../src/job-store/inspection.ts';
import { type CommandContext, printJson } from '../command-context.ts';
import { inspectionText, withoutLongTexts } from '../display/inspection.ts';
import { UsageError } from '../exit-code.ts';

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
    .argument('[id]', 'the id of a job')
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
  const inspection = await readInspection(context, id);
  const shown = options.full ? inspection : withoutLongTexts(inspection);
  if (options.json) printJson(context, shown);
  else context.output.line(inspectionText(shown, context.output));
}

/** readInspection loads the code that reads Redis only now: other commands should not pay for it. */
async function readInspection({ notices }: CommandContext, id: string): Promise<JobInspection> {
  const { readConfig } = await import('../../src/config/environment.ts');
  const { inspectJob } = await import('../../src/job-store/inspection.ts');
  const { connectRedis } = await import('../../src/redis/connection.ts');
  const { assertRedisUsable } = await import('../../src/redis/usable.ts');
  const config = readConfig();
  const { redisUrl, prefix } = config;
  if (redisUrl === undefined) {
    throw new UsageError(
      'expected REDIS_URL, got none: set it to the Redis of the producer and the workers. `npm start` logs ' +
        'the address of its embedded Redis when it starts: REDIS_URL=redis://127.0.0.1:PORT o3q inspect ID',
    );
  }
  const redis = connectRedis(redisUrl, 'fail-fast', { onError: () => {}, name: `${prefix}:inspect` });
  try {
    await assertRedisUsable(redis, redisUrl, { warn: (sentence) => notices.line(sentence) });
    return await inspectJob(redis, prefix, config, id);
  } finally {
    redis.disconnect();
  }
}

async function printScripts(context: CommandContext, json: boolean): Promise<void> {
  const { SCRIPTS } = await import('../../src/lua/scripts.ts');
  const scripts = SCRIPTS.map(({ name, sha }) => ({ sha, name }));
  if (json) printJson(context, scripts);
  else context.output.line(scripts.map(({ sha, name }) => `${sha}  ${name}`).join('\n'));
}

const HELP = `
It reads REDIS_URL, O3Q_PREFIX and O3Q_CONFIG, which must be those of the producer and the workers.

Exit codes:
  0    success
  1    there is no such job, or Redis could not be reached
  2    wrong usage

Examples:
  o3q inspect job_01a2…
  o3q inspect job_01a2… --json | jq .place
  o3q inspect --scripts | grep run.finish`;
