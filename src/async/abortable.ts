/**
 * abortable settles as `work` does, or rejects with the signal's reason as soon as the signal aborts: then
 * the work goes on, and its outcome is dropped. Work is not begun under a signal that has aborted already.
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
