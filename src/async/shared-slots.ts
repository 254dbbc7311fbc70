/** SlotOwner is the model and the tenant of the job that takes a slot; '' for no tenant. */
export interface SlotOwner {
  model: string;
  tenant: string;
}

/** SharedSlots limit how many operations run at once, in fair shares for models and tenants. */
export interface SharedSlots {
  /**
   * acquire waits for a slot until the signal aborts.
   * @param limitMs how long it waits at most, in milliseconds. Default: no limit.
   * @returns a function that releases the slot and may be called more than once; undefined when the signal
   * aborted first, or the time was up.
   */
  acquire(owner: SlotOwner, signal: AbortSignal, limitMs?: number): Promise<(() => void) | undefined>;
}

interface Waiting extends SlotOwner {
  start(): void;
}

/** How many slots of a model are only for tenants that have none. */
const LEFT_TO_OTHERS = 2;

/**
 * createSharedSlots shares slots between models and tenants, so that operations that hang delay mainly
 * operations of the same model and tenant:
 *
 * - half of the slots belong to the models in even shares, at least one slot to each model; the other half is
 *   for any model;
 * - a tenant that has a slot of a model leaves the model's last two free slots to tenants that have none. So
 *   two tenants whose operations hang leave a slot to a third one. This rule does not bind jobs without a
 *   tenant: an instance without keys has no tenants;
 * - a free slot goes to the model that has the fewest slots, and within it to the tenant that has the fewest.
 *   Among equals it goes to the operation that has waited longest.
 *
 * @param slots the number of slots in all. If there are more models than that, there are as many slots as
 * models.
 */
export function createSharedSlots(slots: number, models: readonly string[]): SharedSlots {
  const share = Math.max(1, Math.floor(slots / 2 / Math.max(1, models.length)));
  const held: SlotOwner[] = [];
  const waiting = new Set<Waiting>();

  const ofModel = (model: string): SlotOwner[] => held.filter((owner) => owner.model === model);
  const count = (model: string, tenant: string): number =>
    ofModel(model).filter((owner) => owner.tenant === tenant).length;
  /** How many more slots a model may take now. */
  const roomOf = (model: string): number => {
    const own = ofModel(model).length;
    const owed = models
      .filter((other) => other !== model)
      .reduce((sum, other) => sum + Math.max(0, share - ofModel(other).length), 0);
    return Math.max(share - own, slots - held.length - owed);
  };
  const mayTake = ({ model, tenant }: SlotOwner): boolean =>
    roomOf(model) > (tenant !== '' && count(model, tenant) > 0 ? LEFT_TO_OTHERS : 0);
  const isBefore = (one: SlotOwner, other: SlotOwner): boolean => {
    const byModel = ofModel(one.model).length - ofModel(other.model).length;
    return (byModel || count(one.model, one.tenant) - count(other.model, other.tenant)) < 0;
  };

  const fill = (): void => {
    for (;;) {
      let next: Waiting | undefined;
      for (const one of waiting) if (mayTake(one) && (next === undefined || isBefore(one, next))) next = one;
      if (next === undefined) return;
      waiting.delete(next);
      next.start();
    }
  };

  const take = (owner: SlotOwner): (() => void) => {
    held.push(owner);
    return () => {
      const place = held.indexOf(owner);
      if (place < 0) return;
      held.splice(place, 1);
      fill();
    };
  };

  return {
    acquire(owner, signal, limitMs) {
      if (signal.aborted) return Promise.resolve(undefined);
      return new Promise((resolve) => {
        let timer: NodeJS.Timeout | undefined;
        const end = (release?: () => void): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', giveUp);
          resolve(release);
        };
        const giveUp = (): void => {
          waiting.delete(entry);
          end();
        };
        const entry: Waiting = { ...owner, start: () => end(take(entry)) };
        waiting.add(entry);
        signal.addEventListener('abort', giveUp, { once: true });
        fill();
        if (limitMs !== undefined && waiting.has(entry)) timer = setTimeout(giveUp, limitMs);
      });
    },
  };
}
