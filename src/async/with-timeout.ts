/**
 * withTimeout returns what `work` resolves to. It returns `otherwise` when the work fails or takes longer
 * than `timeoutMs`, or when the signal aborts first. The work itself continues.
 */
export async function withTimeout<Result, Otherwise>(
  work: Promise<Result>,
  otherwise: Otherwise,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<Result | Otherwise> {
  const result = work.catch(() => otherwise);
  if (signal?.aborted) return otherwise;
  let giveUp = (): void => {};
  const tooLate = new Promise<Otherwise>((resolve) => {
    giveUp = () => resolve(otherwise);
  });
  const timer = setTimeout(giveUp, timeoutMs);
  signal?.addEventListener('abort', giveUp, { once: true });
  try {
    return await Promise.race([result, tooLate]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', giveUp);
  }
}
