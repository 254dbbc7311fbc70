/** Unit says how a value is written. */
export type Unit = 'per second' | 'ms' | 'µs' | 's' | 'KB' | 'count';

/** Wanted is the goal of a figure. The table names it beside the measured value. */
export interface Wanted {
  /** `ratio`: the goal is about the ratio; `ours`: about the value of o3-queue itself. */
  of: 'ratio' | 'ours';
  atLeast?: number;
  atMost?: number;
}

/** FigureKind is one row of the table. */
export interface FigureKind {
  what: string;
  unit: Unit;
  wanted?: Wanted;
}

/**
 * FIGURES are the rows of the table, in its order. `wanted` is a goal that the project has set itself. It is
 * not a measured value, and no test requires it.
 */
export const FIGURES = {
  acceptPerSecond: {
    what: '`POST /jobs`, 50 connections: requests a second',
    unit: 'per second',
    wanted: { of: 'ratio', atLeast: 0.8 },
  },
  acceptP50: { what: 'the same: until the answer, p50', unit: 'ms' },
  acceptP99: { what: 'the same: until the answer, p99', unit: 'ms' },
  acceptProducer: { what: 'the same: CPU of the producer a job', unit: 'ms' },
  acceptRedis: { what: 'the same: CPU of Redis a job', unit: 'µs' },
  runPerSecond: {
    what: 'instant jobs, one worker: jobs a second',
    unit: 'per second',
    wanted: { of: 'ratio', atLeast: 0.6 },
  },
  runWorker: { what: 'the same: CPU of the worker a job', unit: 'ms' },
  runRedis: {
    what: 'the same: CPU of Redis a job',
    unit: 'µs',
  },
  runCalls: { what: 'the same: calls inside Redis a job, those of scripts too', unit: 'count' },
  runScripts: { what: 'the same: calls of scripts a job', unit: 'count' },
  redisPerJob: {
    what: 'CPU of Redis a job, accepted and run',
    unit: 'µs',
    wanted: { of: 'ratio', atMost: 3 },
  },
  commands: {
    what: 'a plain job, alone: commands to Redis',
    unit: 'count',
    wanted: { of: 'ours', atMost: 24 },
  },
  scripts: {
    what: 'the same: scripts of ours, each counted once',
    unit: 'count',
    wanted: { of: 'ours', atMost: 8 },
  },
  scriptCalls: { what: 'the same: calls of scripts of ours', unit: 'count' },
} as const satisfies Record<string, FigureKind>;

export type FigureName = keyof typeof FIGURES;

/** wantedText writes a goal: `≥ 0.8 ×`, `≤ 6 ms`. */
export function wantedText({ wanted, unit }: FigureKind): string {
  if (wanted === undefined) return '';
  const sign = wanted.atLeast === undefined ? '≤' : '≥';
  const value = wanted.atLeast ?? wanted.atMost;
  return `${sign} ${value}${wanted.of === 'ratio' ? ' ×' : suffixOf(unit)}`;
}

/** valueText writes a measured value with its unit. */
export function valueText(value: number | undefined, unit: Unit): string {
  if (value === undefined || Number.isNaN(value)) return '–';
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)}${suffixOf(unit)}`;
}

function suffixOf(unit: Unit): string {
  if (unit === 'count') return '';
  return unit === 'per second' ? '/s' : ` ${unit}`;
}
