import { badRequest } from '../api/errors.ts';
import type { Faults } from '../faults/faults.ts';
import { responseObject, type Status } from './response-object.ts';
import type { Script } from './script.ts';
import { phaseAt, statusAt } from './timeline.ts';

/** Run is a response that was created: its script, and what callers have done to it. */
export type Run = {
  readonly script: Script;
  readonly faults: Faults;
  /** Milliseconds since creation. */
  cancelledAtMs: number | undefined;
  /** Milliseconds since creation. */
  deletedAtMs: number | undefined;
  polls: number;
  /** How many stream connections there have been. A stream fault ends after a number of them. */
  connections: number;
  /** How many lookups have met a fault. A lookup fault ends after a number of them. */
  failedPolls: number;
  /** Called when a cancel changes the response's end. */
  readonly watchers: Set<() => void>;
};

export function createRun(script: Script, faults: Faults): Run {
  return {
    script,
    faults,
    cancelledAtMs: undefined,
    deletedAtMs: undefined,
    polls: 0,
    connections: 0,
    failedPolls: 0,
    watchers: new Set(),
  };
}

export function elapsedMs(run: Run, nowMs: number): number {
  return nowMs - run.script.createdAtMs;
}

export function statusOf(run: Run, nowMs: number): Status {
  return statusAt(run.script, elapsedMs(run, nowMs), run.cancelledAtMs);
}

/** endMs returns when the response ended or will end, in milliseconds since its creation. */
export function endMs(run: Run): number {
  if (run.script.completesAfterCancel) return run.script.endMs;
  return Math.min(run.cancelledAtMs ?? Number.POSITIVE_INFINITY, run.script.endMs);
}

export function isFinished(run: Run, nowMs: number): boolean {
  return elapsedMs(run, nowMs) >= endMs(run);
}

export function objectOf(run: Run, nowMs: number): object {
  return responseObject(run.script, phaseAt(run.script, elapsedMs(run, nowMs), run.cancelledAtMs));
}

/** stop ends a response: on a call of the cancel route, or because its foreground caller hung up. */
export function stop(run: Run, nowMs: number): void {
  if (run.cancelledAtMs !== undefined || isFinished(run, nowMs)) return;
  run.cancelledAtMs = elapsedMs(run, nowMs);
  for (const watcher of [...run.watchers]) watcher();
}

/**
 * cancel does what the cancel route does. As was seen at OpenAI, the cancel of a completed response depends
 * on how the response was created: without `stream` the route answers with the response, with `stream` it
 * refuses.
 */
export function cancel(run: Run, nowMs: number): object {
  if (!run.script.request.background) throw badRequest('Cannot cancel a synchronous response.');
  const status = statusOf(run, nowMs);
  switch (status) {
    case 'queued':
    case 'in_progress':
      stop(run, nowMs);
      return objectOf(run, nowMs);
    case 'cancelled':
      return objectOf(run, nowMs);
    case 'completed':
      if (run.script.request.stream) throw badRequest('Cannot cancel a completed response.');
      return objectOf(run, nowMs);
    case 'failed':
      throw badRequest('Cannot cancel a failed response.');
    case 'incomplete':
      throw badRequest('Cannot cancel a response in terminal state.');
    default: {
      const never: never = status;
      return never;
    }
  }
}
