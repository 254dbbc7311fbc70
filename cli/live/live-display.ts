import { clearScreenDown, cursorTo } from 'node:readline';

/** LiveDisplay is text on a terminal that is redrawn in place. */
export interface LiveDisplay {
  /** Shows what `draw` returns, and calls it again when the size of the terminal changes. */
  show(draw: () => string): void;
  /** Ends the display and leaves the last text on the terminal. */
  keep(): void;
  /** Removes the text; it comes back with the next `show`. */
  hide(): void;
  /** Ends the display and removes its text. */
  clear(): void;
}

/**
 * startLiveDisplay needs a terminal. It loads log-update only now, so that commands in a pipe do not pay for
 * it.
 */
export async function startLiveDisplay(stream: NodeJS.WriteStream): Promise<LiveDisplay> {
  const { createLogUpdate } = await import('log-update');
  const log = createLogUpdate(stream);
  let last: (() => string) | undefined;
  let height = 0;

  const write = (text: string, atLeast: number): void => {
    const lines = text.split('\n');
    const count = Math.max(lines.length, Math.min(atLeast, (stream.rows ?? 24) - 1));
    // log-update 7.2 loses lines in the middle when a text grows above an end that has not changed.
    if (count !== height) log.clear();
    height = count;
    log([...lines, ...Array.from({ length: count - lines.length }, () => '')].join('\n'));
  };
  const resize = (): void => {
    if (last === undefined) return;
    // The terminal has perhaps broken the old lines anew, so that nothing knows where they begin.
    log.clear();
    cursorTo(stream, 0, 0);
    clearScreenDown(stream);
    height = 0;
    write(last(), 0);
  };
  const end = (): void => {
    stream.off('resize', resize);
    log.done();
  };
  stream.on('resize', resize);
  return {
    show(draw) {
      last = draw;
      // A text that gets shorter keeps its height, since only a changed height makes the whole text flicker.
      write(draw(), height);
    },
    keep() {
      if (last !== undefined) write(last(), 0);
      end();
    },
    hide() {
      last = undefined;
      height = 0;
      log.clear();
    },
    clear() {
      log.clear();
      end();
    },
  };
}
