import type { O3Client } from '../src/client/o3-client.ts';
import type { Terminal } from './display/terminal.ts';
import type { ExitCode } from './exit-code.ts';
import type { StopSignals } from './processes/running-process.ts';

/** What a command is given by the entry point, so that none of them touches the process itself. */
export interface CommandContext {
  /** Made when it is needed: `--help` must work with a wrong O3Q_URL. @throws {ConfigError | O3ClientError} */
  client(): O3Client;
  input: NodeJS.ReadStream;
  output: Terminal;
  /** stderr: whatever is not the answer, so that the answer can be piped. */
  notices: Terminal;
  /** From now on Ctrl-C aborts this signal; a second one ends the process at once. */
  interruption(): AbortSignal;
  /** From now on SIGINT and SIGTERM are ours to answer. */
  stopSignals(): StopSignals;
  finish(exitCode: ExitCode): void;
  /** Ends the process here and now, whatever still holds it up. */
  exit(exitCode: ExitCode): void;
}

export function printJson(context: CommandContext, value: unknown): void {
  context.output.line(JSON.stringify(value, null, 2));
}
