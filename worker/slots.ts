/** Something that takes jobs up to a limit of its own which can be changed while it runs: a BullMQ worker. */
export interface SlotHolder {
  concurrency: number;
  /** Takes no more jobs until it is resumed; with `true` it does not wait for those that it has. */
  pause(doNotWaitActive: true): Promise<void>;
  resume(): Promise<void>;
}

/**
 * Shares the process's limit among its models. A busy model may use all of it while the others are idle; when they are not, each
 * gets its even share within as many ends of jobs as it takes. More than the limit is never held.
 */
export interface Slots {
  join(holder: SlotHolder): void;
  /** False: none is free, and the job is to be given back. The holder is then held up until there is one for it. */
  take(holder: SlotHolder): boolean;
  free(holder: SlotHolder): void;
  close(): void;
}

/** How often slots that nobody uses are offered to those who could use more. */
const OFFER_MS = 100;
/** How long a slot is kept for a holder whose turn it is: it may have to wait a second to hear that the line is empty. */
const RESERVED_MS = 2000;

/** `onError` is told of a holder that could not be held up or resumed. */
export function createSlots(limit: number, onError: (error: Error) => void): Slots {
  const held = new Map<SlotHolder, number>();
  /** Held up, in the order in which they came, because they had less than their share and nothing was free. */
  const line = new Set<SlotHolder>();
  /** Resumed, with a slot kept until so many milliseconds. */
  const reserved = new Map<SlotHolder, number>();
  let taken = 0;

  const share = (): number => Math.max(1, Math.floor(limit / held.size));
  const spare = (): number => limit - taken - reserved.size;
  const countOf = (holder: SlotHolder): number => held.get(holder) ?? 0;

  const serveLine = (): void => {
    for (const holder of line) {
      if (spare() < 1) return;
      line.delete(holder);
      reserved.set(holder, Date.now() + RESERVED_MS);
      holder.resume().catch(onError);
    }
  };

  const offer = (): void => {
    const now = Date.now();
    for (const [holder, until] of reserved) {
      if (until >= now) continue;
      reserved.delete(holder);
      // Does nothing, unless its turn fell into the instant in which it was going to sleep.
      holder.resume().catch(onError);
    }
    serveLine();
    for (const [holder, count] of held) {
      if (line.size > 0 || spare() < 1) return;
      if (count < holder.concurrency) continue;
      holder.concurrency = count + spare();
      // BullMQ looks at its limit when a job ends; this makes it look now.
      holder.pause(true).then(() => holder.resume(), onError);
    }
  };
  const offering = setInterval(offer, OFFER_MS);
  offering.unref();

  return {
    join(holder) {
      held.set(holder, 0);
      for (const each of held.keys()) each.concurrency = share();
    },
    take(holder) {
      if (reserved.delete(holder) || spare() > 0) {
        taken += 1;
        held.set(holder, countOf(holder) + 1);
        return true;
      }
      if (countOf(holder) >= share()) {
        holder.concurrency = countOf(holder);
      } else {
        holder.concurrency = share();
        line.add(holder);
        holder.pause(true).catch(onError);
      }
      return false;
    },
    free(holder) {
      taken -= 1;
      held.set(holder, countOf(holder) - 1);
      // So that what comes free goes to the one in line, and is not taken again at once.
      if (line.size > 0) holder.concurrency = Math.max(share(), countOf(holder));
      serveLine();
    },
    close: () => clearInterval(offering),
  };
}
