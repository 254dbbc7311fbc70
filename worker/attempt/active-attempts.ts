import { type ActiveAttempt, createActiveAttempt, type InterruptionReason } from './active-attempt.ts';

/** The attempts that one model's worker holds, by job id. */
export interface ActiveAttempts {
  ids(): string[];
  /** Runs work as the attempt of a job that has none here. */
  hold<Output>(id: string, work: (attempt: ActiveAttempt) => Promise<Output>): Promise<Output>;
  interrupt(id: string, reason: InterruptionReason): void;
  /** Asks every attempt that loses nothing by it to stop, those that begin later included. */
  leave(): void;
  areLeaving(): boolean;
  interruptAll(reason: InterruptionReason): void;
  /** Whether any of them holds what only this process can bring home. */
  holdAnswers(): boolean;
}

export function createActiveAttempts(): ActiveAttempts {
  const held = new Map<string, ActiveAttempt>();
  let leaving = false;
  return {
    ids: () => [...held.keys()],
    async hold(id, work) {
      const attempt = createActiveAttempt();
      if (leaving) attempt.leave();
      held.set(id, attempt);
      try {
        return await work(attempt);
      } finally {
        held.delete(id);
      }
    },
    interrupt: (id, reason) => held.get(id)?.interrupt(reason),
    leave() {
      leaving = true;
      for (const attempt of held.values()) attempt.leave();
    },
    areLeaving: () => leaving,
    interruptAll(reason) {
      for (const attempt of held.values()) attempt.interrupt(reason);
    },
    holdAnswers: () => [...held.values()].some((attempt) => attempt.holdsAnswer()),
  };
}
