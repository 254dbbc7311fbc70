import type { Misbehaviour } from '../faults/faults.ts';
import { badRequest } from '../http/errors.ts';
import { responseObject, type Status } from './response-object.ts';
import type { Script } from './script.ts';
import { phaseAt, statusAt } from './timeline.ts';

/** A response that was created: its script, and the few things that happened to it from outside. */
export type Run = {
  readonly script: Script;
  readonly misbehaviour: Misbehaviour;
  /** Milliseconds since creation. */
  cancelledAtMs: number | undefined;
  polls: number;
  /** Stream connections so far, and lookups that were answered wrongly: what the scripted faults count. */
  connections: number;
  failedPolls: number;
  /** Open streams, to be told of a cancel at once. */
  readonly watchers: Set<() => void>;
};

export function createRun(script: Script, misbehaviour: Misbehaviour): Run {
  return {
    script,
    misbehaviour,
    cancelledAtMs: undefined,
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

/** When it reached, or will reach, its end; in milliseconds since creation. */
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

/** Stops a response, whoever asks: the cancel route, or a foreground caller who hung up. */
export function stop(run: Run, nowMs: number): void {
  if (run.cancelledAtMs !== undefined || isFinished(run, nowMs)) return;
  run.cancelledAtMs = elapsedMs(run, nowMs);
  for (const watcher of [...run.watchers]) watcher();
}

/**
 * The cancel route, with the differences that were seen on the real one: cancelling what has completed is
 * answered with the response if it was made without `stream`, and refused if it was made with it.
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
