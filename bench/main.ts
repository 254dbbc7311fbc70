import { Argument, Command, InvalidArgumentError } from 'commander';
import { createProgressLine, createStage } from '../chaos/fleet/stage.ts';
import { resolveServer } from '../src/redis/embedded/resolution-order.ts';
import type { Measurement } from './measurement.ts';
import { accept } from './measurements/accept.ts';
import { cancel } from './measurements/cancel.ts';
import { commands } from './measurements/commands.ts';
import { compression } from './measurements/compression.ts';
import { inFlight } from './measurements/in-flight.ts';
import { lists } from './measurements/lists.ts';
import { quota } from './measurements/quota.ts';
import { run as runJobs } from './measurements/run.ts';
import { takeover } from './measurements/takeover.ts';
import { viewers } from './measurements/viewers.ts';
import { wait } from './measurements/wait.ts';
import { waiters } from './measurements/waiters.ts';
import { loadWarning, thisMachine } from './report/machine.ts';
import { type Run, tableOf } from './report/table.ts';
import { createTally } from './report/tally.ts';

const MEASUREMENTS: readonly Measurement[] = [
  accept,
  runJobs,
  commands,
  wait,
  inFlight,
  waiters,
  cancel,
  takeover,
  compression,
  lists,
  viewers,
  quota,
];
const INTERRUPTED = 130;
const FULL_ROUNDS = 3;
/** They take about 8 GB of memory. */
const MOST_FINISHED = 1_000_000;
const QUICK = { rounds: 1, scale: 0.2 };

interface Options {
  rounds?: number;
  quick?: true;
  scale?: number;
  finished?: number;
  json?: true;
}

const line = createProgressLine(process.stderr);
const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (interruption.signal.aborted) process.exit(INTERRUPTED);
    line.say('Interrupted: stopping all processes.');
    interruption.abort();
  });
}

const names = MEASUREMENTS.map(({ name }) => name);
await new Command('bench')
  .description(
    'Measures o3-queue beside the least that Express, BullMQ and the official SDK can be, in turns on one Redis.',
  )
  .addArgument(new Argument('[names...]', 'what to measure; default: everything').choices(names))
  .option('--rounds <number>', `how often each value is measured; default ${FULL_ROUNDS}`, wholeNumber)
  .option('--quick', 'one round of a fifth of the work')
  .option('--scale <share>', 'the share of the full work, above 0 and up to 1', positive)
  .option('--finished <number>', 'the most finished jobs beside which lists are measured', wholeNumber)
  .option('--json', 'print JSON with the values of all rounds in place of the table')
  .addHelpText(
    'after',
    `\nMeasurements:\n${MEASUREMENTS.map((each) => `  ${each.name.padEnd(12)}${each.description}`).join('\n')}`,
  )
  .action((chosen: string[], options: Options) => measureAll(chosen, options))
  .parseAsync();

async function measureAll(chosen: string[], options: Options): Promise<void> {
  const rounds = options.rounds ?? (options.quick ? QUICK.rounds : FULL_ROUNDS);
  const scale = Math.min(1, options.scale ?? (options.quick ? QUICK.scale : 1));
  const tally = createTally();
  const stage = {
    ...createStage({ seed: 1, signal: interruption.signal, line }),
    rounds,
    scale,
    mostFinished: options.finished ?? MOST_FINISHED * scale,
    tally,
  };
  const machine = await thisMachine();
  const warning = loadWarning(machine);
  if (warning !== undefined) line.say(warning);
  const server = await resolveServer(stage.redisServer);
  const notes = warning === undefined ? [] : [warning];
  for (const { name, description, measure } of MEASUREMENTS) {
    if (interruption.signal.aborted) break;
    if (chosen.length > 0 && !chosen.includes(name)) continue;
    line.say(`${name}: ${description}`);
    try {
      await measure(stage);
    } catch (error: unknown) {
      // What the other measurements have found is still worth its time.
      const isInterrupted = interruption.signal.aborted;
      notes.push(isInterrupted ? `${name} was interrupted.` : `${name} has failed: ${String(error)}`);
      line.say(notes.at(-1) ?? '');
      process.exitCode = isInterrupted ? INTERRUPTED : 1;
    }
  }
  line.progress('');
  const run: Run = {
    machine,
    redis: `${server.name} ${server.version}`,
    command: ['npm run bench', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(
      ' ',
    ),
    rounds,
    scale,
    notes,
    figures: tally.figures(),
  };
  process.stdout.write(`${options.json ? JSON.stringify(run, null, 2) : tableOf(run)}\n`);
}

function wholeNumber(text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number above 0.');
}

function positive(text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('Expected a number above 0.');
}
