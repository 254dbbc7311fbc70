import { valueText, wantedText } from './figures.ts';
import type { Machine } from './machine.ts';
import type { Figure } from './tally.ts';

/** Run says what was measured, where, and how. */
export interface Run {
  machine: Machine;
  /** The name and the version of the Redis server. */
  redis: string;
  command: string;
  rounds: number;
  /** The share of the full work. The rows name the full numbers. */
  scale: number;
  /** What a reader of the values has to know: a busy machine, a measurement that has failed. */
  notes: readonly string[];
  figures: readonly Figure[];
}

/** tableOf writes a run as Markdown. */
export function tableOf(run: Run): string {
  const { machine, redis, command, rounds, scale, notes, figures } = run;
  const size = scale === 1 ? '' : ` of ${Math.round(scale * 100)} % of the work`;
  const place = [
    `${machine.cores} cores (${machine.cpu})`,
    `${machine.memoryGb} GB`,
    `Node ${machine.node}`,
    `${redis} with its append-only file`,
    `load ${machine.load.toFixed(2)} at the start`,
  ];
  return [
    `\`${command}\`, ${machine.startedAt.slice(0, 16).replace('T', ' ')} UTC, commit ${machine.commit ?? 'unknown'}`,
    `${place.join(' · ')} · ${rounds === 1 ? 'one round' : `medians of ${rounds} rounds`}${size}`,
    ...notes.flatMap((note) => ['', note]),
    '',
    '| what | bare | ours | ratio | wanted |',
    '|---|--:|--:|--:|--:|',
    ...figures.map(rowOf),
  ].join('\n');
}

function rowOf({ kind, bare, ours, ratio, met }: Figure): string {
  const verdict = met === false ? ', missed' : '';
  const cells = [
    kind.what,
    valueText(bare, kind.unit),
    valueText(ours, kind.unit),
    ratio === undefined ? '–' : `${ratio.toFixed(2)} ×`,
    `${wantedText(kind)}${verdict}`,
  ];
  return `| ${cells.join(' | ')} |`;
}
