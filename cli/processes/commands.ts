import { type Command, InvalidArgumentError } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { wholeNumber } from '../option.ts';
import type { SimulatorChoice } from './processes.ts';

/** The commands that are an instance, or one process of it. What they run is loaded only then: `o3q ask` should be quick. */
export function registerProcessCommands(program: Command, context: CommandContext): void {
  program
    .command('start')
    .summary('run everything in one process')
    .description(
      'Runs Redis (an embedded one when REDIS_URL is unset), the producer with the board, and a worker. Without OPENAI_API_KEY and OPENAI_BASE_URL the answers are simulated.',
    )
    .action(async () => (await import('./processes.ts')).runEverything(context));

  program
    .command('producer')
    .summary('run a producer: HTTP and the board')
    .description('Runs a producer on HOST and PORT: HTTP and the board, on the Redis at REDIS_URL.')
    .action(async () => (await import('./processes.ts')).runProducer(context));

  program
    .command('worker')
    .summary('run a worker: takes jobs and asks the upstream')
    .description(
      'Runs a worker on the Redis at REDIS_URL, which asks OpenAI or the server at OPENAI_BASE_URL. Start as many as you like.',
    )
    .action(async () => (await import('./processes.ts')).runWorker(context));

  program
    .command('simulator')
    .summary('run a stand-in for OpenAI that costs nothing')
    .description(
      'Runs a server that speaks the Responses API with made-up answers. docs/SIMULATOR.md tells how to make it misbehave.',
    )
    .option('--port <port>', 'where it listens; 0 takes any free port', wholeNumber, 4010)
    .option('--host <host>', 'where it listens', '127.0.0.1')
    .option('--think-ms <milliseconds>', 'how long each answer takes', wholeNumber, 2000)
    .option(
      '--background <profile>',
      'what it makes of background mode: supported, rejected or ignored',
      profile,
      'supported',
    )
    .option('--requests-per-minute <creates>', 'creates in any 60 seconds, for each model', wholeNumber)
    .option('--tokens-per-minute <tokens>', 'their tokens in any 60 seconds, for each model', wholeNumber)
    .option('--webhook-url <url>', 'where it tells the end of background responses; needs --webhook-secret')
    .option('--webhook-secret <secret>', 'what its webhooks are signed with; needs --webhook-url')
    .action(async (choice: SimulatorChoice) =>
      (await import('./processes.ts')).runSimulator(context, choice),
    );
}

function profile(text: string): string {
  if (['supported', 'rejected', 'ignored'].includes(text)) return text;
  throw new InvalidArgumentError('Expected supported, rejected or ignored.');
}
