#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { inspect } from 'node:util';
import type { Command } from 'commander';
import { O3Client } from '../src/client/o3-client.ts';
import { printable } from '../src/client/terminal-text.ts';
import { readClientConfig } from '../src/config/client.ts';
import { readEnvFile } from '../src/config/text-file.ts';
import { ownVersion } from '../src/process/own-version.ts';
import type { CommandContext } from './command-context.ts';
import { openBrowser } from './console-page.ts';
import { createTerminal } from './display/terminal.ts';
import { wrappedText } from './display/wrapped-text.ts';
import { EXIT, failureFrom } from './exit-code.ts';
import { registerMcpCommand } from './processes/mcp.ts';
import { rootCommand } from './root-command.ts';

const output = createTerminal(process.stdout);
const notices = createTerminal(process.stderr);
/** The fewest columns for which our line breaks are better than the terminal's own. */
const NARROWEST = 40;

const context: CommandContext = {
  client: () => new O3Client(readClientConfig()),
  input: process.stdin,
  output,
  notices,
  interruption() {
    const controller = new AbortController();
    // Not `once`: a live display also listens to signals, and ends the process when it is the only listener.
    process.on('SIGINT', () => {
      if (controller.signal.aborted) process.exit(EXIT.interrupted);
      controller.abort();
    });
    return controller.signal;
  },
  stopSignals(reload) {
    const stop = new AbortController();
    const hurry = new AbortController();
    const hearStop = (): void => (stop.signal.aborted ? hurry : stop).abort();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, hearStop);
    const hasTerminal = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);
    process.on('SIGHUP', reload === undefined || hasTerminal ? hearStop : reload);
    return { stop: stop.signal, hurry: hurry.signal };
  },
  openBrowser,
  finish(exitCode) {
    process.exitCode = exitCode;
  },
  exit(exitCode) {
    process.exit(exitCode);
  },
};

// The reader of the pipe has closed it, as in `o3q list | head -1`. That is no failure.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(EXIT.done);
  });
}

try {
  // A variable that the environment sets wins over the file.
  if (existsSync('.env')) readEnvFile('.env');
  const program = process.argv[2] === 'mcp' ? mcpProgram() : await wholeProgram();
  await program.parseAsync();
} catch (error: unknown) {
  const failure = failureFrom(error);
  if (failure === undefined) notices.line(inspect(error));
  else if (failure.message !== undefined) {
    notices.line(`${notices.paint('red', 'o3q:')} ${inLines(printable(failure.message))}`);
  }
  // Not `process.exitCode`: a part of an instance that could not be closed would keep the process alive for
  // ever.
  process.exit(failure?.exitCode ?? EXIT.failed);
}

/** inLines breaks a message behind `o3q: ` between its words where stderr is a terminal. */
function inLines(message: string): string {
  const columns = notices.columns();
  if (columns === undefined || columns < NARROWEST) return message;
  return wrappedText(message, columns, columns - 'o3q: '.length).join('\n');
}

/**
 * mcpProgram has `o3q mcp` alone. An agent waits for it to start, and the other commands take a fifth of the
 * time: 0.08 s of 0.43 s.
 */
function mcpProgram(): Command {
  const program = rootCommand(ownVersion());
  registerMcpCommand(program, context);
  return program;
}

async function wholeProgram(): Promise<Command> {
  const [{ createProgram, registerCompletion }, { registerProcessCommands }] = await Promise.all([
    import('./program.ts'),
    import('./processes/commands.ts'),
  ]);
  const program = createProgram(context, ownVersion());
  registerProcessCommands(program, context);
  await registerCompletion(program, context);
  return program;
}
