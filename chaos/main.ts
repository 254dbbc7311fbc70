import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { readConfig } from '../src/config/environment.ts';
import { runBatchStops } from './callers/batch.ts';
import { runCancels } from './callers/cancels.ts';
import { runCommands } from './callers/commands.ts';
import { runWaiters } from './callers/waiters.ts';
import { runWatchers } from './callers/watchers.ts';
import { runDeploy } from './crashes/deploy.ts';
import { runKills } from './crashes/kills.ts';
import { runLeases } from './crashes/leases.ts';
import { runRedisOutage } from './crashes/redis-outage.ts';
import { runStorm } from './crashes/storm.ts';
import { weatherFor } from './crashes/storm-plan.ts';
import { reportText } from './evidence/report.ts';
import { createProgressLine } from './progress-line.ts';
import { runBudget } from './quota/budget.ts';
import { runEta } from './quota/eta.ts';
import { runFairness } from './quota/fairness.ts';
import { type Binding, runQuota } from './quota/quota.ts';
import { runThrottle } from './quota/throttle.ts';
import { isClean, type Report, type Stage } from './scenario.ts';

const INTERRUPTED = 130;
const MINUTE_MS = 60_000;

const line = createProgressLine(process.stdout);
const interruption = new AbortController();
process.on('SIGINT', () => {
  if (interruption.signal.aborted) process.exit(INTERRUPTED);
  line.say('Interrupted: stopping all processes.');
  interruption.abort();
});

const program = new Command('chaos').description(
  'Breaks an instance of real processes on purpose, and checks that no job is lost and none is bought twice.',
);

const scenario = (name: string, description: string) =>
  program
    .command(name)
    .description(description)
    .option(
      '--seed <number>',
      'the same seed plays the same plan; default: another one each time',
      wholeNumber,
    );

scenario('kills', '500 jobs, 4 workers, one of them killed every 2 s').action((options: Seeded) =>
  play(options, runKills),
);
scenario('deploy', 'SIGTERM to a worker with 1,000 jobs in flight').action((options: Seeded) =>
  play(options, runDeploy),
);
scenario('redis', 'Redis killed for 10 s under load').action((options: Seeded) =>
  play(options, runRedisOutage),
);
scenario('cancels', '300 active jobs cancelled, and 3,000 at random moments').action((options: Seeded) =>
  play(options, runCancels),
);
scenario('commands', 'what one job costs in commands to Redis: plain, keyed, delayed, retried').action(
  (options: Seeded) => play(options, runCommands),
);
scenario('watchers', 'a long answer read by 200 who come and go, and its worker killed').action(
  (options: Seeded) => play(options, runWatchers),
);
scenario('waiters', '2,000 callers who wait at one producer, each for the end of a job').action(
  (options: Seeded) => play(options, runWaiters),
);
scenario('batch', '50,000 lines through `o3q batch`, stopped by Ctrl-C and killed on the way')
  .option('--lines <number>', 'how many lines', wholeNumber, 50_000)
  .action(({ lines, ...options }: Seeded & { lines: number }) =>
    play(options, (stage) => runBatchStops(stage, lines)),
  );
scenario(
  'quota',
  'jobs of very different size under limits of requests and tokens, while workers come and go',
)
  .option('--minutes <number>', 'how long each of two runs takes, at least 5', wholeNumber, 5)
  .addOption(
    new Option('--binding <limit>', 'one of the two runs only').choices([
      'tokens',
      'requests',
    ] satisfies Binding[]),
  )
  .action(({ minutes, binding, ...options }: Seeded & { minutes: number; binding?: Binding }) =>
    play(options, (stage) =>
      runQuota(stage, minutes, binding === undefined ? ['tokens', 'requests'] : [binding]),
    ),
  );
scenario('throttle', 'a 429 with Retry-After meets a fleet at full speed').action((options: Seeded) =>
  play(options, runThrottle),
);
scenario('fairness', 'twenty jobs of one tenant beside ten thousand of another, and what a long line costs')
  .option('--waiting <number>', 'how many jobs wait in the long line', wholeNumber, 1_000_000)
  .action(({ waiting, ...options }: Seeded & { waiting: number }) =>
    play(options, (stage) => runFairness(stage, waiting)),
  );
scenario('leases', 'workers killed with reservations and responses in their hands').action(
  (options: Seeded) => play(options, runLeases),
);
scenario('eta', 'what 500 waiting jobs say of when they end, and a thousand who ask each second').action(
  (options: Seeded) => play(options, runEta),
);
scenario('budget', 'a tenant with a dollar and jobs for three, and whether all books agree').action(
  (options: Seeded) => play(options, runBudget),
);
program
  .command('storm', { isDefault: true })
  .description('everything at once, at random')
  .option('--seed <number>', 'the same seed plays the same plan; default: another one each time', wholeNumber)
  .option('--minutes <number>', 'how long things are broken', wholeNumber, 3)
  .option('--jobs <number>', 'how many jobs', wholeNumber, 300)
  .option('--workers <number>', 'how many workers', wholeNumber, 3)
  .option('--no-webhooks', 'the upstream tells nobody that a response has ended')
  .action(({ minutes, jobs, workers, webhooks, ...options }: Seeded & Size) =>
    play(options, (stage) =>
      runStorm(stage, {
        durationMs: minutes * MINUTE_MS,
        jobs,
        workers,
        webhooks,
        weather: weatherFor(minutes),
      }),
    ),
  );

interface Seeded {
  seed?: number;
}
interface Size {
  minutes: number;
  jobs: number;
  workers: number;
  webhooks: boolean;
}

await program.parseAsync();

async function play({ seed }: Seeded, run: (stage: Stage) => Promise<Report>): Promise<void> {
  const stage = stageOf(seed ?? Math.floor(Math.random() * 1_000_000));
  line.say(`Seed ${stage.seed}`);
  try {
    const report = await run(stage);
    line.say(reportText(report));
    process.exitCode = isClean(report) ? 0 : 1;
  } catch (error: unknown) {
    if (!interruption.signal.aborted) throw error;
    process.exitCode = INTERRUPTED;
  }
}

function stageOf(seed: number): Stage {
  const compiled = resolve('dist/cli/main.js');
  if (!existsSync(compiled))
    throw new Error(`expected ${compiled}: run \`npm run build\` in the project's folder`);
  const config = readConfig();
  return {
    seed,
    program: compiled,
    redisServer: {
      download: config.redisDownload,
      ...(config.redisBinary !== undefined && { binary: config.redisBinary }),
      log: line.say,
    },
    signal: interruption.signal,
    say: line.say,
    progress: line.progress,
  };
}

function wholeNumber(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number, 0 or more.');
}
