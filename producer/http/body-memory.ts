/** BodyMemory bounds the bytes of all bodies that are read and parsed at the same time. */
export interface BodyMemory {
  /**
   * acquire waits for room until the signal aborts. The callers that wait get room in the order in which they
   * came.
   * @param owner names the sender of the body. One owner takes half of the room at most.
   * @returns a function that releases the room; undefined when the signal aborted first.
   */
  acquire(owner: string, bytes: number, signal: AbortSignal): Promise<(() => void) | undefined>;
}

interface Holder {
  owner: string;
  bytes: number;
}

/** @param mostBytes at least twice as much as the largest body. */
export function createBodyMemory(mostBytes: number): BodyMemory {
  const holders = new Set<Holder>();
  const waiting = new Map<Holder, () => void>();
  const held = (owner?: string): number =>
    [...holders].reduce((sum, one) => sum + (owner === undefined || one.owner === owner ? one.bytes : 0), 0);

  const fill = (): void => {
    for (const [holder, start] of waiting) {
      // The bodies behind a body that does not fit wait too, so that smaller ones do not pass it for ever.
      if (held() + holder.bytes > mostBytes) return;
      if (held(holder.owner) + holder.bytes > mostBytes / 2) continue;
      waiting.delete(holder);
      holders.add(holder);
      start();
    }
  };

  return {
    acquire(owner, bytes, signal) {
      if (signal.aborted) return Promise.resolve(undefined);
      const holder = { owner, bytes };
      return new Promise((resolve) => {
        const giveUp = (): void => {
          waiting.delete(holder);
          fill();
          resolve(undefined);
        };
        waiting.set(holder, () => {
          signal.removeEventListener('abort', giveUp);
          resolve(() => {
            if (holders.delete(holder)) fill();
          });
        });
        signal.addEventListener('abort', giveUp, { once: true });
        fill();
      });
    },
  };
}
