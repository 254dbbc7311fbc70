import { type Command, InvalidArgumentError } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { wholeNumber } from '../option.ts';
import type { SimulatorChoice } from './processes.ts';

/**
 * registerProcessCommands adds the commands that run an instance or one of its processes. Their code is
 * loaded only when one of them runs, so that `o3q ask` starts quickly.
 */
export function registerProcessCommands(program: Command, context: CommandContext): void {
  program
    .command('start')
    .summary('run everything in one process')
    .description(
      'Runs Redis (an embedded one when REDIS_URL is unset), the producer with the board, and a worker. ' +
        'Without OPENAI_API_KEY and OPENAI_BASE_URL the answers are simulated.',
    )
    .action(async () => (await import('./processes.ts')).runEverything(context));

  program
    .command('producer')
    .summary('run a producer: the HTTP API and the board')
    .description('Runs a producer on HOST and PORT: the HTTP API and the board, on the Redis at REDIS_URL.')
    .action(async () => (await import('./processes.ts')).runProducer(context));

  program
    .command('worker')
    .summary('run a worker: takes jobs and asks the upstream')
    .description(
      'Runs a worker on the Redis at REDIS_URL. It asks OpenAI, or the server at OPENAI_BASE_URL. ' +
        'You can start as many workers as you like. A worker holds O3Q_CONCURRENCY jobs, and no more than ' +
        'it may open files (ulimit -Hn).',
    )
    .action(async () => (await import('./processes.ts')).runWorker(context));

  program
    .command('simulator')
    .summary('run a stand-in for OpenAI that costs nothing')
    .description(
      'Runs a server that implements the Responses API with made-up answers. ' +
        'docs/SIMULATOR.md describes how to make it fail.',
    )
    .option('--port <port>', 'the port to listen on; 0 takes any free port', wholeNumber, 4010)
    .option('--host <host>', 'the address to listen on', '127.0.0.1')
    .option('--think-ms <milliseconds>', 'how long each answer takes', wholeNumber, 2000)
    .option(
      '--background <profile>',
      'how the server treats background mode: supported, rejected or ignored',
      profile,
      'supported',
    )
    .option(
      '--requests-per-minute <n>',
      'the limit of create requests in any 60 seconds, per model',
      wholeNumber,
    )
    .option('--paid', 'answer like a paid upstream: each job is booked at the cost of a real answer')
    .option('--tokens-per-minute <n>', 'the limit of tokens in any 60 seconds, per model', wholeNumber)
    .option(
      '--window-scale <n>',
      'how many times faster the clock of completion windows runs; 3600: 8 hours take 8 seconds',
      wholeNumber,
    )
    .option(
      '--webhook-url <url>',
      'where to send a webhook when a background response ends; needs --webhook-secret',
    )
    .option('--webhook-secret <secret>', 'the secret that signs the webhooks; needs --webhook-url')
    .action(async (choice: SimulatorChoice) =>
      (await import('./processes.ts')).runSimulator(context, choice),
    );
}

function profile(text: string): string {
  if (['supported', 'rejected', 'ignored'].includes(text)) return text;
  throw new InvalidArgumentError('Expected supported, rejected or ignored.');
}
