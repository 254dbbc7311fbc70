/**
 * Makes signals that abort with one of two others: with their own, or with the one that lasts as long as the producer. Not `AbortSignal.any`: Node 20
 * keeps a reference in the lasting one for each that was ever made of it, and a producer answers millions of requests. Nor a listener for
 * each: to remove one from among thousands Node goes through them all.
 *
 * @returns a function of the passing signal, which must abort at some time, whatever happens: until then it is remembered.
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
