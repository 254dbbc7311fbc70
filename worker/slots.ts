/** Something that takes jobs up to a limit which can be changed while it runs: a BullMQ worker. */
export interface SlotHolder {
  concurrency: number;
}

export interface Slots {
  /** Gives a new holder its first limit. */
  join(holder: SlotHolder): void;
  taken(holder: SlotHolder): void;
  freed(holder: SlotHolder): void;
}

/**
 * Shares the process's limit among its models: each may use all that the others leave free, so that a busy model is not
 * held back by an idle one. Two models that grow in the same instant may pass the limit by a few jobs, never by more.
 */
export function createSlots(limit: number): Slots {
  const held = new Map<SlotHolder, number>();
  const share = (): void => {
    const free = limit - [...held.values()].reduce((sum, count) => sum + count, 0);
    // BullMQ refuses a limit below 1, so that a model without jobs may always take one.
    for (const [holder, count] of held) holder.concurrency = Math.max(1, count + free);
  };
  const change = (holder: SlotHolder, by: number): void => {
    held.set(holder, (held.get(holder) ?? 0) + by);
    share();
  };
  return {
    join: (holder) => change(holder, 0),
    taken: (holder) => change(holder, 1),
    freed: (holder) => change(holder, -1),
  };
}
