import type { O3Client } from '../src/client/o3-client.ts';
import { printableJson } from '../src/client/terminal-text.ts';
import type { Terminal } from './display/terminal.ts';
import type { ExitCode } from './exit-code.ts';
import type { StopSignals } from './processes/running-process.ts';

/** CommandContext is what the entry point gives to a command, so that no command uses the process itself. */
export interface CommandContext {
  /**
   * Makes the client when a command needs it: `--help` must work with a wrong O3Q_URL.
   *
   * @throws {ConfigError | O3ClientError}
   */
  client(): O3Client;
  input: NodeJS.ReadStream;
  /** stdout, for the result of the command. */
  output: Terminal;
  /** stderr, for everything else, so that the answer can be piped. */
  notices: Terminal;
  /** Makes Ctrl-C abort the returned signal from now on; a second Ctrl-C ends the process at once. */
  interruption(): AbortSignal;
  /**
   * Makes SIGINT, SIGTERM and SIGHUP abort the returned signals from now on, instead of ending the process.
   *
   * @param reload called at each SIGHUP instead, if the process has no terminal: without one no closed window sends
   * that signal.
   */
  stopSignals(reload?: () => void): StopSignals;
  /** Opens an address in the user's browser. @returns whether that worked. */
  openBrowser(url: string): Promise<boolean>;
  /** Sets the exit code of the process. */
  finish(exitCode: ExitCode): void;
  /** Ends the process at once, even if connections or timers are still open. */
  exit(exitCode: ExitCode): void;
}

/** printJson prints a value as indented JSON. */
export function printJson(context: CommandContext, value: unknown): void {
  context.output.line(printableJson(value, 2));
}
