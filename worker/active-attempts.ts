import { type ActiveAttempt, createActiveAttempt, type InterruptionReason } from './active-attempt.ts';

/** The attempts that one model's worker holds, by job id. */
export interface ActiveAttempts {
  ids(): string[];
  /** Runs work as the attempt of a job that has none here. */
  hold<Output>(id: string, work: (attempt: ActiveAttempt) => Promise<Output>): Promise<Output>;
  /**
   * Ends an earlier attempt of this job, whose lock was lost and given to this worker again before it noticed.
   * @returns whether there was one, after it has ended.
   */
  endEarlier(id: string): Promise<boolean>;
  interrupt(id: string, reason: InterruptionReason): void;
  /** Asks every attempt that loses nothing by it to stop, those that begin later included. */
  leave(): void;
  areLeaving(): boolean;
  interruptAll(reason: InterruptionReason): void;
  /** Whether any of them holds what only this process can bring home. */
  holdAnswers(): boolean;
}

interface Held {
  attempt: ActiveAttempt;
  ended: Promise<unknown>;
}

export function createActiveAttempts(): ActiveAttempts {
  const held = new Map<string, Held>();
  let leaving = false;
  return {
    ids: () => [...held.keys()],
    async hold(id, work) {
      const attempt = createActiveAttempt();
      if (leaving) attempt.leave();
      const working = work(attempt);
      held.set(id, { attempt, ended: working.catch(() => {}) });
      try {
        return await working;
      } finally {
        held.delete(id);
      }
    },
    async endEarlier(id) {
      const earlier = held.get(id);
      earlier?.attempt.interrupt('lock lost');
      await earlier?.ended;
      return earlier !== undefined;
    },
    interrupt: (id, reason) => held.get(id)?.attempt.interrupt(reason),
    leave() {
      leaving = true;
      for (const { attempt } of held.values()) attempt.leave();
    },
    areLeaving: () => leaving,
    interruptAll(reason) {
      for (const { attempt } of held.values()) attempt.interrupt(reason);
    },
    holdAnswers: () => [...held.values()].some(({ attempt }) => attempt.holdsAnswer()),
  };
}
