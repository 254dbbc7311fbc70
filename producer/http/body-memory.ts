import { getHeapStatistics } from 'node:v8';

/** BodyMemory bounds the bytes of all bodies that are read, parsed and stored at the same time. */
export interface BodyMemory {
  /**
   * acquire waits for room until the signal aborts. The callers that wait get room in the order in which they
   * came.
   * @param owner names the sender of the body. One owner takes half of the room at most, or has one body.
   * @param bytes at most as much as the room.
   * @returns undefined when the signal aborted first.
   */
  acquire(owner: string, bytes: number, signal: AbortSignal): Promise<HeldMemory | undefined>;
}

/** HeldMemory is the room of one body. */
export interface HeldMemory {
  /** shrink gives back the room that the body does not need, once its length is known. */
  shrink(bytes: number): void;
  /** release gives all of it back. A second call does nothing. */
  release(): void;
}

interface Holder {
  readonly owner: string;
  bytes: number;
}

export function createBodyMemory(mostBytes: number): BodyMemory {
  const holders = new Set<Holder>();
  const waiting = new Map<Holder, () => void>();
  const held = (owner?: string): number =>
    [...holders].reduce((sum, one) => sum + (owner === undefined || one.owner === owner ? one.bytes : 0), 0);

  const fill = (): void => {
    for (const [holder, start] of waiting) {
      // The bodies behind a body that does not fit wait too, so that smaller ones do not pass it for ever.
      if (held() + holder.bytes > mostBytes) return;
      const own = held(holder.owner);
      if (own > 0 && own + holder.bytes > mostBytes / 2) continue;
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
          resolve({
            shrink(needed) {
              if (needed >= holder.bytes) return;
              holder.bytes = needed;
              fill();
            },
            release() {
              if (holders.delete(holder)) fill();
            },
          });
        });
        signal.addEventListener('abort', giveUp, { once: true });
        fill();
      });
    },
  };
}

/** The room is at most this many of the largest bodies. */
const MOST_BODIES = 4;
/**
 * The share of the heap that bodies may have. A body of text takes six times its length at worst while it is
 * parsed, checked and written for Redis: three times in a script that needs two bytes for each character.
 */
const HEAP_SHARE = 1 / 8;

/** bodyRoom returns how many bytes of bodies this process has room for: one of the largest at least. */
export function bodyRoom(largest: number, heapBytes = getHeapStatistics().heap_size_limit): number {
  return Math.max(largest, Math.min(MOST_BODIES * largest, heapBytes * HEAP_SHARE));
}
