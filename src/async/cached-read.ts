/**
 * cachedRead shares one read among many callers: only one runs at a time, and its result is returned to every
 * call within the next `freshMs` milliseconds. A failed read is not kept.
 */
export function cachedRead<Result>(read: () => Promise<Result>, freshMs: number): () => Promise<Result> {
  let current: Promise<Result> | undefined;
  return () => {
    current ??= read().then(
      (result) => {
        setTimeout(() => {
          current = undefined;
        }, freshMs).unref();
        return result;
      },
      (error: unknown) => {
        current = undefined;
        throw error;
      },
    );
    return current;
  };
}
