/**
 * createAnySignal returns a function that makes a signal which aborts with either of two: a passing signal,
 * such as that of a request, or the lasting signal of the producer. It does not use `AbortSignal.any`: Node
 * 20 keeps a reference in the lasting signal for every signal ever made of it, and a producer answers
 * millions of requests. Nor does it add a listener for each: to remove one of thousands of listeners Node
 * searches them all.
 *
 * @returns a function of the passing signal, which must abort at some time; until then it is kept in memory.
 */
export function createAnySignal(lasting: AbortSignal): (passing: AbortSignal) => AbortSignal {
  const open = new Set<AbortController>();
  const endAll = (): void => {
    for (const controller of open) controller.abort(lasting.reason);
    open.clear();
  };
  lasting.addEventListener('abort', endAll, { once: true });
  return (passing) => {
    const controller = new AbortController();
    const end = (): void => {
      open.delete(controller);
      controller.abort(passing.reason);
    };
    open.add(controller);
    passing.addEventListener('abort', end, { once: true });
    if (passing.aborted) end();
    if (lasting.aborted) endAll();
    return controller.signal;
  };
}
