import { Command, InvalidArgumentError, Option } from 'commander';
import { ACKS, type Ack } from '../src/redis/ack/level.ts';
import { runBatchStops } from './callers/batch.ts';
import { runCancels } from './callers/cancels.ts';
import { runCommands } from './callers/commands.ts';
import { runWaiters } from './callers/waiters.ts';
import { runWatchers } from './callers/watchers.ts';
import { runDeploy } from './crashes/deploy.ts';
import { runKills } from './crashes/kills.ts';
import { runLeases } from './crashes/leases.ts';
import { runRedisOutage } from './crashes/redis-outage.ts';
import { BACKUPS, runRestore } from './crashes/restore.ts';
import { runStorm } from './crashes/storm.ts';
import { disturbanceCounts } from './crashes/storm-plan.ts';
import { isClean, type Report, reportText } from './evidence/report.ts';
import { FULL_FAILOVER, runFailover } from './failover/failover.ts';
import { VARIANTS } from './failover/variants.ts';
import { runBodies } from './fairness/bodies.ts';
import { runFairness } from './fairness/fairness.ts';
import { FULL_GREEDY, runGreedy } from './fairness/greedy.ts';
import { STORM_NAMES } from './fairness/storm-kinds.ts';
import { runStorms } from './fairness/storms.ts';
import { createProgressLine, createStage, type Stage } from './fleet/stage.ts';
import { runBudget } from './quota/budget.ts';
import { runEta } from './quota/eta.ts';
import { type Binding, runQuota } from './quota/quota.ts';
import { runStarts } from './quota/starts.ts';
import { runThrottle } from './quota/throttle.ts';
import { runWeather } from './weather/weather.ts';
import { runWindows } from './windows/windows.ts';

const INTERRUPTED = 130;
const MINUTE_MS = 60_000;

const line = createProgressLine(process.argv.includes('--json') ? process.stderr : process.stdout);
const interruption = new AbortController();
process.on('SIGINT', () => {
  if (interruption.signal.aborted) process.exit(INTERRUPTED);
  line.say('Interrupted: stopping all processes.');
  interruption.abort();
});

const program = new Command('chaos').description(
  'Breaks an instance of real processes on purpose, and checks that no job is lost or bought twice.',
);

const command = (name: string, description: string) =>
  program
    .command(name)
    .description(description)
    .option('--seed <number>', 'the same seed plays the same plan; default: a random seed', wholeNumber)
    .option('--json', 'print the report as JSON, and all else on standard error');

command('kills', '500 jobs and 4 workers, one of which is killed every 2 s').action((options: Common) =>
  play(options, runKills),
);
command('deploy', 'SIGTERM to a worker with 1,000 jobs in flight').action((options: Common) =>
  play(options, runDeploy),
);
command('redis', 'Redis is killed under load and comes back after 10 s').action((options: Common) =>
  play(options, runRedisOutage),
);
command('cancels', 'cancels of 300 active jobs, and of 3,000 jobs at random moments').action(
  (options: Common) => play(options, runCancels),
);
command('commands', 'what one job costs in commands to Redis: plain, keyed, delayed, retried').action(
  (options: Common) => play(options, runCommands),
);
command('watchers', '200 watchers of a long answer who come and go while its worker is killed').action(
  (options: Common) => play(options, runWatchers),
);
command('waiters', '2,000 callers who wait at one producer, each for the end of a job').action(
  (options: Common) => play(options, runWaiters),
);
command('batch', '50,000 lines through `o3q batch`, which is stopped by Ctrl-C and killed on the way')
  .option('--lines <number>', 'how many lines', wholeNumber, 50_000)
  .action(({ lines, ...options }: Common & { lines: number }) =>
    play(options, (stage) => runBatchStops(stage, lines)),
  );
command('quota', 'jobs of very different sizes under request and token limits, while workers join and leave')
  .option('--minutes <number>', 'how long each of the two runs takes, at least 5', wholeNumber, 5)
  .addOption(
    new Option('--binding <limit>', 'only one of the two runs').choices([
      'tokens',
      'requests',
    ] satisfies Binding[]),
  )
  .action(({ minutes, binding, ...options }: Common & { minutes: number; binding?: Binding }) =>
    play(options, (stage) =>
      runQuota(stage, minutes, binding === undefined ? ['tokens', 'requests'] : [binding]),
    ),
  );
command('throttle', 'a 429 with Retry-After while the fleet runs at full speed').action((options: Common) =>
  play(options, runThrottle),
);
command('fairness', 'twenty jobs of one tenant beside ten thousand of another, and what a long queue costs')
  .option('--waiting <number>', 'how many jobs wait in the long queue', wholeNumber, 1_000_000)
  .action(({ waiting, ...options }: Common & { waiting: number }) =>
    play(options, (stage) => runFairness(stage, waiting)),
  );
command('greedy', 'a tenant of small jobs beside one whose jobs take half of the tokens of a minute').action(
  (options: Common) => play(options, (stage) => runGreedy(stage, FULL_GREEDY)),
);
command(
  'bodies',
  'nine tenants with small questions beside one that sends bodies of 10 MB as fast as it can',
).action((options: Common) => play(options, runBodies));
command('storms', 'a tenant with small questions beside one that does one of eleven things without end')
  .addOption(new Option('--only <storms...>', 'only these storms').choices(STORM_NAMES))
  .option('--jobs <number>', 'how many jobs are listed, and acted on', wholeNumber, 20_000)
  .option('--seconds <number>', 'how long each storm is measured', wholeNumber, 10)
  .action(
    ({ only, jobs, seconds, ...options }: Common & { only?: string[]; jobs: number; seconds: number }) =>
      play(options, (stage) => runStorms(stage, { only, jobs, stormMs: seconds * 1000 })),
  );
command('starts', 'how soon a job starts when nothing waits, and when a slot becomes free').action(
  (options: Common) => play(options, runStarts),
);
command('leases', 'kills of workers that hold reservations and responses').action((options: Common) =>
  play(options, runLeases),
);
command('eta', 'the ETAs of 500 waiting jobs, and a thousand requests for them per second').action(
  (options: Common) => play(options, runEta),
);
command(
  'weather',
  '200 jobs while the upstream and Redis refuse everything, for eight reasons in turn',
).action((options: Common) => play(options, runWeather));
command(
  'failover',
  'Redis fails in fourteen ways (killed, hung, failed over, slots moved) while callers enqueue all the time',
)
  .addOption(
    new Option('--only <variants...>', 'only these variants').choices(VARIANTS.map(({ name }) => name)),
  )
  .addOption(
    new Option('--ack <levels...>', 'the values of O3Q_ACK with which each is played')
      .choices(ACKS)
      .default(['memory']),
  )
  .action(({ only, ack, ...options }: Common & { only?: string[]; ack: Ack[] }) =>
    play(options, (stage) =>
      runFailover(stage, {
        ...FULL_FAILOVER,
        acks: ack,
        variants: VARIANTS.filter(({ name }) => only?.includes(name) ?? true),
      }),
    ),
  );
command('restore', 'a backup of Redis with 50 jobs in every state, restored after more work was done')
  .addOption(new Option('--only <kinds...>', 'only these kinds of backup').choices(BACKUPS))
  .action(({ only, ...options }: Common & { only?: string[] }) =>
    play(options, (stage) =>
      runRestore(
        stage,
        BACKUPS.filter((kind) => only?.includes(kind) ?? true),
      ),
    ),
  );
command(
  'budget',
  'a tenant with a budget of a dollar and jobs for three, and whether /usage agrees with the ledger',
).action((options: Common) => play(options, runBudget));
command(
  'windows',
  '500 jobs whose answers are needed within twelve hours, on a clock that makes an hour half a minute',
).action((options: Common) => play(options, runWindows));
program
  .command('storm', { isDefault: true })
  .description('everything at once, at random')
  .option('--seed <number>', 'the same seed plays the same plan; default: a random seed', wholeNumber)
  .option('--json', 'print the report as JSON, and all else on standard error')
  .option('--minutes <number>', 'how long the storm lasts', wholeNumber, 3)
  .option('--jobs <number>', 'how many jobs', wholeNumber, 300)
  .option('--workers <number>', 'how many workers', wholeNumber, 3)
  .option('--no-webhooks', 'the upstream sends no webhooks')
  .action(({ minutes, jobs, workers, webhooks, ...options }: Common & Size) =>
    play(options, (stage) =>
      runStorm(stage, {
        durationMs: minutes * MINUTE_MS,
        jobs,
        workers,
        webhooks,
        counts: disturbanceCounts(minutes),
      }),
    ),
  );

interface Common {
  seed?: number;
  json?: true;
}
interface Size {
  minutes: number;
  jobs: number;
  workers: number;
  webhooks: boolean;
}

await program.parseAsync();

async function play({ seed, json }: Common, run: (stage: Stage) => Promise<Report>): Promise<void> {
  const stage = createStage({
    seed: seed ?? Math.floor(Math.random() * 1_000_000),
    signal: interruption.signal,
    line,
  });
  line.say(`Seed ${stage.seed}`);
  try {
    const report = await run(stage);
    if (json)
      process.stdout.write(`${JSON.stringify({ seed: stage.seed, clean: isClean(report), ...report })}\n`);
    else line.say(reportText(report));
    process.exitCode = isClean(report) ? 0 : 1;
  } catch (error: unknown) {
    if (!interruption.signal.aborted) throw error;
    process.exitCode = INTERRUPTED;
  }
}

function wholeNumber(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number, 0 or more.');
}
