import type { Stage } from '../chaos/fleet/stage.ts';
import type { Tally } from './report/tally.ts';
import { SIDES, type SideName } from './rig/side.ts';

/** BenchStage is what the entry point gives every measurement. */
export interface BenchStage extends Stage {
  readonly rounds: number;
  /** The share of the full size at which everything is measured, up to 1. */
  readonly scale: number;
  /** The most finished jobs beside which lists are measured. */
  readonly mostFinished: number;
  readonly tally: Tally;
}

/** Measurement measures some figures. Its name is an argument of `npm run bench`. */
export interface Measurement {
  readonly name: string;
  readonly description: string;
  measure(stage: BenchStage): Promise<void>;
}

/** scaled returns a count or a time at the scale of the run, but not less than `least`. */
export function scaled({ scale }: BenchStage, full: number, least: number): number {
  return Math.max(least, Math.round(full * scale));
}

/**
 * inTurns measures both sides once in each round. The side that goes first changes from round to round,
 * because what one side leaves behind may affect the other.
 */
export async function inTurns(
  { rounds, signal, progress }: BenchStage,
  what: string,
  measure: (side: SideName) => Promise<void>,
): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    for (const side of round % 2 === 0 ? SIDES : SIDES.toReversed()) {
      signal.throwIfAborted();
      progress(`${what}: ${side}, round ${round + 1} of ${rounds}`);
      await measure(side);
    }
  }
}
