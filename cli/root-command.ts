import { Command } from 'commander';

/** rootCommand makes `o3q` without its commands, which inherit how errors are treated. */
export function rootCommand(version: string): Command {
  return (
    new Command('o3q')
      .description('A durable background queue for slow, expensive model calls.')
      .version(version, '-V, --version', 'print the version')
      .helpOption('-h, --help', 'print this help; `o3q COMMAND --help` describes a command')
      // Errors are thrown to the entry point, which alone ends the process.
      .exitOverride()
      .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'o3q: ')) })
      .showHelpAfterError('Add --help to a command to see its arguments and options.')
  );
}
