import type { SideName } from '../rig/side.ts';
import { FIGURES, type FigureKind, type FigureName } from './figures.ts';

/** Figure is what was measured for one row of the table. */
export interface Figure {
  name: FigureName;
  kind: FigureKind;
  /** The median of the rounds; undefined: not measured for this side. */
  bare: number | undefined;
  ours: number | undefined;
  /** The values of the rounds, in order. */
  rounds: Readonly<Record<SideName, readonly number[]>>;
  /** ours / bare, or ours / the figure that it is compared to; undefined if one of them is missing. */
  ratio: number | undefined;
  /** Whether the goal is reached; undefined if there is none, or if it could not be compared. */
  met: boolean | undefined;
}

/** Tally collects the values of all rounds. */
export interface Tally {
  add(name: FigureName, side: SideName, value: number): void;
  /** Returns the figures that have values, in the order of the table. */
  figures(): Figure[];
}

export function createTally(): Tally {
  const values = new Map<FigureName, Record<SideName, number[]>>();
  return {
    add(name, side, value) {
      const rounds = values.get(name) ?? { bare: [], ours: [] };
      rounds[side].push(value);
      values.set(name, rounds);
    },
    figures() {
      return (Object.keys(FIGURES) as FigureName[]).flatMap((name) => {
        const rounds = values.get(name);
        return rounds === undefined ? [] : [figureFrom(name, rounds, values)];
      });
    },
  };
}

function figureFrom(
  name: FigureName,
  rounds: Record<SideName, number[]>,
  values: ReadonlyMap<string, Record<SideName, number[]>>,
): Figure {
  const kind: FigureKind = FIGURES[name];
  const bare = medianOf(rounds.bare);
  const ours = medianOf(rounds.ours);
  const other = kind.comparedTo === undefined ? bare : medianOf(values.get(kind.comparedTo)?.ours ?? []);
  // Noise may make a small difference in memory negative. It has no ratio.
  const ratio = other === undefined || ours === undefined || !(other > 0) ? undefined : ours / other;
  return {
    name,
    kind,
    bare,
    ours,
    rounds,
    ratio,
    met: isMet(kind, kind.wanted?.of === 'ours' ? ours : ratio),
  };
}

function isMet({ wanted }: FigureKind, value: number | undefined): boolean | undefined {
  if (wanted === undefined || value === undefined || Number.isNaN(value)) return undefined;
  return value >= (wanted.atLeast ?? -Infinity) && value <= (wanted.atMost ?? Infinity);
}

/** medianOf returns the middle value; undefined for no values. */
export function medianOf(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted[Math.floor(sorted.length / 2)];
  const other = sorted[Math.ceil(sorted.length / 2) - 1];
  return middle === undefined || other === undefined ? undefined : (middle + other) / 2;
}
