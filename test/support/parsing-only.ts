import type { CommandContext } from '../../cli/command-context.ts';
import { createTerminal } from '../../cli/display/terminal.ts';

const notExpected = (): never => {
  throw new Error('a command was expected to be looked at, not to run');
};

/** PARSING_ONLY is the context of commands that a test parses and does not run. */
export const PARSING_ONLY: CommandContext = {
  client: notExpected,
  input: process.stdin,
  output: createTerminal(process.stdout),
  notices: createTerminal(process.stderr),
  interruption: notExpected,
  stopSignals: notExpected,
  openBrowser: notExpected,
  finish: notExpected,
  exit: notExpected,
};
