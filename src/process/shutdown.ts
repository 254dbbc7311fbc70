import { withTimeout } from '../async/with-timeout.ts';

/** Something long-lived that can be stopped in phases: a producer, a worker, a simulator, a Redis. */
export interface Stoppable {
  readonly name: string;
  /** Take no more. */
  quiet?(): void;
  /** Resolves when what was taken is finished. */
  drain?(): Promise<unknown>;
  /** Give back what is left, uncharged. */
  release?(): void;
  /** Free everything; called once, last. */
  close(): Promise<unknown>;
}

export interface ShutdownOptions {
  /** From the beginning until the last part is closed, in milliseconds. */
  deadlineMs: number;
  /** Aborted by a second signal: draining ends, what is left is released at once. */
  hurry: AbortSignal;
}

/** What release and close may take of the deadline. */
const CLOSING_SHARE = 0.3;

/**
 * quiet → drain → release → close, the same for every process. All parts go through a phase together, except that they
 * are closed in the given order, because the later ones carry the earlier ones (Redis comes last). A part that fails in a
 * phase does not keep the others from theirs.
 *
 * @returns whether everything was closed before the deadline.
 */
export async function shutDown(
  parts: readonly Stoppable[],
  { deadlineMs, hurry }: ShutdownOptions,
): Promise<boolean> {
  const begunAt = Date.now();
  const leftMs = (share: number): number => Math.max(0, begunAt + deadlineMs * share - Date.now());
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
