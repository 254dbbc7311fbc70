import type { RunRecordWriter } from '../src/queue/run-record-writer.ts';
import { Interruption } from './active-attempt.ts';

/** Time enough for an upstream that answers to say what was used; no caller waits longer for one that does not. */
const ANSWER_MS = 500;

/**
 * Writes a cancel down while the upstream is still being told of it: that may take half a minute when it hangs, or when the create call
 * has not brought home the id yet. The attempt goes on until the upstream knows, or its successor does after a crash.
 */
export function announceCancel(signal: AbortSignal, record: RunRecordWriter): { close(): void } {
  let timer: NodeJS.Timeout | undefined;
  const announce = (): void => {
    if (!(signal.reason instanceof Interruption) || signal.reason.reason !== 'cancelled') return;
    timer = setTimeout(() => {
      // A lost lock or an unreachable Redis is the attempt's own to find out.
      record.finish({ status: 'cancelled', usage: null }).catch(() => {});
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
