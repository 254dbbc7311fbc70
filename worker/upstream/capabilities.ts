/**
 * Use says whether a capability is used. `auto`: yes, until the server has shown that it lacks the
 * capability.
 */
export type Use = 'auto' | 'always' | 'never';

/** Mode is how one create request is sent. */
export interface Mode {
  background: boolean;
  stream: boolean;
}

/** Capabilities are what a server can do for one upstream model, as far as its answers have shown. */
export interface Capabilities {
  /** @param wanted whether to follow events instead of polling. */
  modeFor(wanted: boolean, use: { background: Use; stream: Use }): Mode;
  /**
   * How long to wait for the answer to a create in background mode, in milliseconds.
   * @param isSilent whether the create is not streamed although the server has not shown background mode. A
   * server that ignores the flag is then silent until the model has answered.
   */
  answerMs(isSilent?: boolean): number;
  /** Whether a response has run in background mode. */
  showsBackground(): boolean;
  /** Records that the server refuses or ignores a capability. */
  lacks(capability: keyof Mode): void;
  /** Records that a response runs in background mode. */
  hasBackground(): void;
  /**
   * Records how long the answer to a create in background mode took, in milliseconds; undefined: the answer
   * did not come in time.
   */
  answered(afterMs: number | undefined): void;
}

/**
 * After this time, in milliseconds, the worker tries again what the server lacked. The server may have been
 * upgraded.
 */
const LACKS_FOR_MS = 600_000;
/** Each answer that did not come in time makes the next wait this many times longer. */
const PATIENCE_FACTOR = 10;
/** The longest wait, as a multiple of the first one. */
const MOST_PATIENCE = 100;

/** @param firstAnswerMs how long to wait for an answer of a server that is not known to be slow. */
export function createCapabilities(firstAnswerMs: number): Capabilities {
  const lacksUntil: Record<keyof Mode, number> = { background: 0, stream: 0 };
  let showedBackground = false;
  let patience = 1;
  const allows = (use: Use, capability: keyof Mode): boolean =>
    use === 'always' || (use === 'auto' && performance.now() >= lacksUntil[capability]);
  return {
    modeFor(wanted, use) {
      const background = allows(use.background, 'background');
      // A create is streamed in any case until the server has shown that it has background mode. A server
      // that ignores the flag would be silent for minutes, as if it hung. A foreground create is always
      // streamed, because proxies cut a connection that is silent for minutes.
      const isHelpful = wanted || !background || !showedBackground || use.stream === 'always';
      return { background, stream: isHelpful && allows(use.stream, 'stream') };
    },
    answerMs: (isSilent = false) =>
      firstAnswerMs * (isSilent ? Math.max(patience, PATIENCE_FACTOR) : patience),
    showsBackground: () => showedBackground,
    lacks(capability) {
      lacksUntil[capability] = performance.now() + LACKS_FOR_MS;
      if (capability === 'background') showedBackground = false;
    },
    hasBackground() {
      showedBackground = true;
    },
    answered(afterMs) {
      // A server with background mode answers at once, so one that does not answer hangs. Another server may
      // think before its first byte, so the next create waits longer.
      if (afterMs === undefined && !showedBackground)
        patience = Math.min(patience * PATIENCE_FACTOR, MOST_PATIENCE);
      else if (afterMs !== undefined && afterMs < firstAnswerMs) patience = 1;
    },
  };
}

/** ListedModel is a model as the upstream lists it. */
export interface ListedModel {
  id: string;
  /** `YYYY-MM-DD`; undefined: no shutdown is announced. */
  shutdownDate: string | undefined;
}

/** listedFrom reads an upstream's list of models; undefined: it is none. */
export function listedFrom(body: unknown): ListedModel[] | undefined {
  const data = typeof body === 'object' && body !== null && 'data' in body ? body.data : undefined;
  if (!Array.isArray(data)) return undefined;
  return data.flatMap((entry: unknown) => {
    if (typeof entry !== 'object' || entry === null || !('id' in entry)) return [];
    const date = 'shutdown_date' in entry ? String(entry.shutdown_date) : '';
    const isDate = /^\d{4}-\d{2}-\d{2}$/.test(date) && !Number.isNaN(Date.parse(date));
    return [{ id: String(entry.id), shutdownDate: isDate ? date : undefined }];
  });
}
