const SECOND_MS = 1000;

/**
 * Lets each different error through at most once a second: a Redis that is down makes every connection and every BullMQ
 * worker on it say the same thing again and again, without a limit of their own.
 */
export function throttledErrors(onError: (error: Error) => void): (error: Error) => void {
  const quietUntil = new Map<string, number>();
  return (error) => {
    const now = Date.now();
    if (now < (quietUntil.get(error.message) ?? 0)) return;
    for (const [message, until] of quietUntil) if (until <= now) quietUntil.delete(message);
    quietUntil.set(error.message, now + SECOND_MS);
    onError(error);
  };
}
