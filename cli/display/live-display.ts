/** A text that stays where it is and changes. */
export interface LiveDisplay {
  show(text: string): void;
  /** Ends it; what was shown last stays. */
  keep(): void;
  /** Ends it without a trace. */
  clear(): void;
}

/** Only for a terminal. log-update is loaded here and when needed: it costs a script that pipes nothing. */
export async function startLiveDisplay(stream: NodeJS.WriteStream): Promise<LiveDisplay> {
  const { createLogUpdate } = await import('log-update');
  const log = createLogUpdate(stream);
  let lines = 0;
  return {
    show: (text) => {
      const count = text.split('\n').length;
      // log-update 7.2 loses lines in the middle when a text grows above an unchanged end.
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
