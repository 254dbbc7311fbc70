/**
 * abortable settles as `work` does, or rejects with the signal's reason as soon as the signal aborts. The
 * work itself then continues, and its outcome is dropped. When the signal has already aborted, the work is
 * not started.
 */
export async function abortable<Value>(
  signal: AbortSignal | undefined,
  work: () => Promise<Value>,
): Promise<Value> {
  if (signal === undefined) return work();
  signal.throwIfAborted();
  return new Promise<Value>((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    work()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', abort));
  });
}
