import { withTimeout } from '../async/with-timeout.ts';

/** Stoppable is a long-lived part that stops in phases: a producer, a worker, a simulator, a Redis. */
export interface Stoppable {
  readonly name: string;
  /** Takes no more work. */
  quiet?(): void;
  /** Resolves when the work that was taken is finished. */
  drain?(): Promise<unknown>;
  /** Gives unfinished work back, uncharged. */
  release?(): void;
  /** Frees everything. It is called once, as the last phase. */
  close(): Promise<unknown>;
}

export interface ShutdownOptions {
  /** The time until the last part must be closed, in milliseconds. */
  deadlineMs: number;
  /** Aborted by a second signal to the process: draining ends, and unfinished work is released at once. */
  hurry: AbortSignal;
}

/** The share of the deadline that is reserved for release and close. */
const CLOSING_SHARE = 0.3;

/**
 * shutDown stops the parts of a process: quiet → drain → release → close. All parts go through a phase
 * together, except that they are closed in the given order, because later parts support earlier ones (Redis
 * comes last). A part that fails in a phase does not stop the others.
 *
 * @returns whether everything was closed before the deadline.
 */
export async function shutDown(
  parts: readonly Stoppable[],
  { deadlineMs, hurry }: ShutdownOptions,
): Promise<boolean> {
  const begunAt = performance.now();
  const leftMs = (share: number): number => Math.max(0, begunAt + deadlineMs * share - performance.now());
  await Promise.allSettled(parts.map(async (part) => part.quiet?.()));
  const drained = Promise.allSettled(parts.map(async (part) => part.drain?.()));
  await withTimeout(drained, undefined, leftMs(1 - CLOSING_SHARE), hurry);
  await Promise.allSettled(parts.map(async (part) => part.release?.()));
  return withTimeout(
    closeInOrder(parts).then(() => true),
    false,
    leftMs(1),
  );
}

async function closeInOrder(parts: readonly Stoppable[]): Promise<void> {
  for (const part of parts) await Promise.allSettled([(async () => part.close())()]);
}
