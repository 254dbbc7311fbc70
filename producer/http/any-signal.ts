/**
 * createAnySignal returns a function that combines two signals: a short-lived one, such as that of a request,
 * and the lasting signal of the producer. The combined signal aborts when either of them aborts. It does not
 * use `AbortSignal.any`: Node 20 keeps a reference in the lasting signal for every signal ever made of it,
 * and a producer answers millions of requests. It does not add one listener for each signal either: to remove
 * one of thousands of listeners, Node searches all of them.
 *
 * @returns a function of the short-lived signal. That signal must abort at some time; until then it stays in
 * memory.
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
