import type { RunRecordWriter } from '../../src/run/writer.ts';
import { Interruption } from './active-attempt.ts';

/** Time enough for an upstream that answers to say what was used; no caller waits longer for one that does not. */
const ANSWER_MS = 500;

/**
 * Acts on a cancel before the attempt has taken itself down, which takes its time when hundreds are cancelled together: tells the upstream
 * at once, and writes the cancel down while it is still being told: that may take half a minute when it hangs, or when the create call
 * has not brought home the id yet. The attempt goes on until the upstream knows, or its successor does after a crash.
 */
export function announceCancel(
  signal: AbortSignal,
  record: RunRecordWriter,
  tellUpstream: () => void,
): { close(): void } {
  let timer: NodeJS.Timeout | undefined;
  const announce = (): void => {
    if (!(signal.reason instanceof Interruption) || signal.reason.reason !== 'cancelled') return;
    tellUpstream();
    timer = setTimeout(() => {
      // A lost lock or an unreachable Redis is the attempt's own to find out.
      record.finish({ status: 'cancelled', spent: null }).catch(() => {});
    }, ANSWER_MS);
  };
  signal.addEventListener('abort', announce, { once: true });
  return {
    close() {
      signal.removeEventListener('abort', announce);
      clearTimeout(timer);
    },
  };
}
