import { type ActiveAttempt, createActiveAttempt, type InterruptionReason } from './active-attempt.ts';

/** The attempts that one model's worker holds, by job id. */
export interface ActiveAttempts {
  ids(): string[];
  begin(id: string): ActiveAttempt;
  end(id: string, attempt: ActiveAttempt): void;
  interrupt(id: string, reason: InterruptionReason): void;
  /** Asks every attempt that loses nothing by it to stop, those that begin later included. */
  leave(): void;
  interruptAll(reason: InterruptionReason): void;
}

export function createActiveAttempts(): ActiveAttempts {
  const attempts = new Map<string, ActiveAttempt>();
  let leaving = false;
  return {
    ids: () => [...attempts.keys()],
    begin(id) {
      // This worker lost the job and took it again before the first run noticed: only the second holds the lock.
      attempts.get(id)?.interrupt('lock lost');
      const attempt = createActiveAttempt();
      attempts.set(id, attempt);
      if (leaving) attempt.leave();
      return attempt;
    },
    end(id, attempt) {
      if (attempts.get(id) === attempt) attempts.delete(id);
    },
    interrupt: (id, reason) => attempts.get(id)?.interrupt(reason),
    leave() {
      leaving = true;
      for (const attempt of attempts.values()) attempt.leave();
    },
    interruptAll(reason) {
      for (const attempt of attempts.values()) attempt.interrupt(reason);
    },
  };
}
