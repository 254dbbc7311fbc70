/** LiveDisplay is text on a terminal that is redrawn in place. */
export interface LiveDisplay {
  show(text: string): void;
  /** Ends the display and leaves the last text on the terminal. */
  keep(): void;
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
  let lines = 0;
  return {
    show: (text) => {
      const count = text.split('\n').length;
      // log-update 7.2 loses lines in the middle when a text grows above an end that has not changed.
      if (count !== lines) log.clear();
      lines = count;
      log(text);
    },
    keep: () => log.done(),
    clear: () => {
      log.clear();
      log.done();
    },
  };
}
