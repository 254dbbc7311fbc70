const SECOND_MS = 1000;

/**
 * throttledErrors passes on each different error at most once per second. When Redis is down, every
 * connection and every BullMQ worker reports the same error again and again, without a limit of its own.
 */
export function throttledErrors(onError: (error: Error) => void): (error: Error) => void {
  const quietUntil = new Map<string, number>();
  return (error) => {
    const now = performance.now();
    if (now < (quietUntil.get(error.message) ?? 0)) return;
    for (const [message, until] of quietUntil) if (until <= now) quietUntil.delete(message);
    quietUntil.set(error.message, now + SECOND_MS);
    onError(error);
  };
}
