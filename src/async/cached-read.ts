/**
 * cachedRead shares one read among many callers: only one read runs at a time. Its result is returned to
 * every call that comes while the read runs, or within `freshMs` milliseconds after it. A failed read is not
 * kept.
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
