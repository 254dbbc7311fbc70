/** Lines that stay, and one at the end that changes. */
export interface ProgressLine {
  say(text: string): void;
  progress(text: string): void;
}

/** Where nobody watches, a line in ten seconds is enough. */
const QUIET_EVERY_MS = 10_000;
const ERASE = '\r\u001b[K';

export function createProgressLine(stream: NodeJS.WriteStream): ProgressLine {
  const isTerminal = stream.isTTY === true;
  let shownAt = Date.now();
  return {
    say(text) {
      stream.write(`${isTerminal ? ERASE : ''}${text}\n`);
    },
    progress(text) {
      if (isTerminal) stream.write(`${ERASE}${text}`);
      else if (Date.now() - shownAt >= QUIET_EVERY_MS) {
        shownAt = Date.now();
        stream.write(`${text}\n`);
      }
    },
  };
}
