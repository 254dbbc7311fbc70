import { type DestinationStream, type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import { derived } from '../async/derived.ts';

export type { Logger };

export interface LogOptions {
  level: string;
  /** The secrets that the log replaces by `***` in every line and every field. They are read for each line. */
  secrets: readonly string[];
  /** Whether lines are written for a terminal instead of as JSON. */
  pretty: boolean;
  /** Default: standard error, so that standard output stays free for results. */
  destination?: DestinationStream;
}

/**
 * createLogger writes one JSON object per line. Questions and answers are logged only at `debug`, keys never.
 */
export function createLogger(options: LogOptions): Logger {
  const out = options.destination ?? standardError(options.pretty);
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    withoutSecrets(out, options),
  );
}

function standardError(forPeople: boolean): DestinationStream {
  if (!forPeople) return pino.destination({ fd: 2, sync: true });
  return pretty({
    destination: 2,
    sync: true,
    colorize: true,
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss',
    ignore: 'pid,hostname',
  });
}

function withoutSecrets(out: DestinationStream, options: Pick<LogOptions, 'secrets'>): DestinationStream {
  const spellings = derived(() => options.secrets, spellingsOf);
  return {
    write(line: string) {
      out.write(spellings().reduce((text, secret) => text.replaceAll(secret, '***'), line));
    },
  };
}

/**
 * JSON may escape characters of the secret, so both spellings are replaced. A short secret would mask ordinary
 * words.
 */
function spellingsOf(secrets: readonly string[]): readonly string[] {
  return (
    secrets
      .filter((secret) => secret.length >= 4)
      .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)])
      // The longest first: a shorter secret would leave the rest of a longer one that begins with it.
      .sort((one, other) => other.length - one.length)
  );
}
