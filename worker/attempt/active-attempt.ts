/** Why an attempt stops before its response does. */
export type InterruptionReason = 'cancelled' | 'shutdown' | 'lock lost' | 'timeout' | 'deadline';

export class Interruption extends Error {
  override readonly name = 'Interruption';
  readonly reason: InterruptionReason;
  constructor(reason: InterruptionReason) {
    super(`The attempt was interrupted: ${reason}`);
    this.reason = reason;
  }
}

/**
 * An attempt as the rest of the worker sees it: something that can be told to stop.
 *
 * A shutdown asks twice. `leave` is the polite question: whoever has bought nothing, or something that runs on without us,
 * stops at once, since nothing is lost. A foreground answer would be lost, so it goes on until `interrupt('shutdown')`.
 */
export interface ActiveAttempt {
  /** Aborts with an `Interruption`. */
  readonly signal: AbortSignal;
  /** Aborts with it, and already at the polite question: for waits that lose nothing by ending. */
  readonly leaving: AbortSignal;
  interrupt(reason: InterruptionReason): void;
  leave(): void;
  /** To be called before anything is bought. @throws {Interruption} when the worker is leaving. */
  beforeBuying(): void;
  /** To be called once the response can be adopted by another worker. */
  canBeAdopted(): void;
  /** Whether something is being bought, or has been bought, that is lost with this process. */
  holdsAnswer(): boolean;
}

export function createActiveAttempt(): ActiveAttempt {
  const controller = new AbortController();
  const departure = new AbortController();
  let buying = false;
  let adoptable = false;
  const interrupt = (reason: InterruptionReason): void => {
    if (controller.signal.aborted) return;
    controller.abort(new Interruption(reason));
    departure.abort();
  };
  return {
    signal: controller.signal,
    leaving: departure.signal,
    interrupt,
    leave() {
      departure.abort();
      if (adoptable) interrupt('shutdown');
    },
    beforeBuying() {
      controller.signal.throwIfAborted();
      if (departure.signal.aborted) throw new Interruption('shutdown');
      buying = true;
    },
    canBeAdopted() {
      adoptable = true;
      if (departure.signal.aborted) interrupt('shutdown');
    },
    holdsAnswer: () => buying && !controller.signal.aborted,
  };
}
