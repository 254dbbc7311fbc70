/**
 * For looks that many ask for and that may take long: one at a time, whose answer serves everybody who asks within `freshMs` after it. While one hangs, nobody
 * begins another.
 */
export function cachedRead<WatchEvent>(
  look: () => Promise<WatchEvent>,
  freshMs: number,
): () => Promise<WatchEvent> {
  let looking: Promise<WatchEvent> | undefined;
  return () => {
    looking ??= look().then(
      (seen) => {
        setTimeout(() => {
          looking = undefined;
        }, freshMs).unref();
        return seen;
      },
      (error: unknown) => {
        looking = undefined;
        throw error;
      },
    );
    return looking;
  };
}

/** What comes in time, or else `otherwise`; a look that fails has not come in time. */
export async function withTimeout<WatchEvent, Otherwise>(
  look: Promise<WatchEvent>,
  otherwise: Otherwise,
  timeoutMs: number,
): Promise<WatchEvent | Otherwise> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Otherwise>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), timeoutMs);
  });
  try {
    return await Promise.race([look.catch(() => otherwise), late]);
  } finally {
    clearTimeout(timer);
  }
}
