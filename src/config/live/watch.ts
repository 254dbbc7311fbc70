import type { Logger } from '../../process/log.ts';
import type { LiveConfig } from './live-config.ts';

/** ConfigWatch looks for changes of the files of a configuration. */
export interface ConfigWatch {
  /** Looks now. It takes over what it has found if the look before has found the same. */
  look(): Promise<void>;
  /** Reads the files now, and says so in the log even if nothing has changed. */
  reload(): void;
  /** Calls a function after each change that was taken over. */
  onChange(listener: () => void): void;
  stop(): void;
}

/** How often the files are looked at, in milliseconds. */
const LOOK_EVERY_MS = 1000;

/**
 * watchConfig reads the files of a configuration again when they change, and logs what has changed.
 *
 * It compares contents, once a second: notifications of a file system do not reach through bind mounts, and
 * Kubernetes replaces a symbolic link above the file. Two looks must find the same content, because an editor or
 * `kubectl cp` may have written half of it: half of a list of keys may be a valid list.
 */
export function watchConfig(
  live: Pick<LiveConfig, 'reload' | 'fingerprint' | 'isRefused'>,
  logger: Logger,
): ConfigWatch {
  /** The content that was last read, the one that the latest look has found, and what the log said last. */
  let read: string | undefined;
  let found: string | undefined;
  let said = '';
  let isLooking = false;
  const listeners: (() => void)[] = [];

  const readAgain = (isAsked: boolean): void => {
    const wasRefused = live.isRefused;
    const result = live.reload();
    const words = JSON.stringify(result);
    const isNews = words !== said || (result.kind === 'accepted' && result.changed.length > 0);
    if (!isAsked && !isNews) return;
    said = words;
    if (result.kind === 'refused') {
      const flaws = result.flaws.map(({ path, message }) => `${path}: ${message}`);
      logger.error({ flaws }, 'the changed configuration is refused; the one before stays in force');
      return;
    }
    const { changed, needsRestart } = result;
    if (needsRestart.length > 0)
      logger.warn({ changed, needsRestart }, 'the configuration has changed; a part of it needs a restart');
    else if (changed.length > 0) logger.info({ changed }, 'the configuration has changed');
    else if (isAsked || wasRefused) logger.info('the configuration was read again and has not changed');
    if (changed.length > 0) for (const listener of listeners) listener();
  };

  const look = async (): Promise<void> => {
    // A file system that hangs must not collect looks.
    if (isLooking) return;
    isLooking = true;
    try {
      const content = await live.fingerprint();
      const isSteady = content === found;
      found = content;
      if (content === read || !isSteady) return;
      read = content;
      readAgain(false);
    } finally {
      isLooking = false;
    }
  };

  const onError = (error: unknown): void =>
    logger.error({ error: String(error) }, 'the configuration cannot be read again');
  const timer = setInterval(() => void look().catch(onError), LOOK_EVERY_MS);
  timer.unref();
  return {
    look,
    reload: () => readAgain(true),
    onChange: (listener) => void listeners.push(listener),
    stop: () => clearInterval(timer),
  };
}
