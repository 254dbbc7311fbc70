/**
 * cachedRead shares one read among many callers: at most one is under way, and its result serves every call
 * within `freshMs` after it. A failed read is not kept.
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
