/** Unit says how a value is written. */
export type Unit = 'per second' | 'ms' | 'µs' | 's' | 'KB' | 'count' | '%';

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
  /** The name of the figure to which the ratio refers. Default: the same figure of the bare program. */
  comparedTo?: string;
  wanted?: Wanted;
}

/** beside is the value of an earlier figure beside more finished jobs. It is compared with that figure. */
const beside = <Figure extends string>(comparedTo: Figure, jobs: string) =>
  ({
    what: `the same beside ${jobs}, of that beside 1,000`,
    unit: 'ms',
    comparedTo,
    wanted: { of: 'ratio', atMost: 1.5 },
  }) as const;

/** compressed is the value of the figure before it when large texts are compressed. */
const compressed = <Figure extends string>(comparedTo: Figure, unit: Unit) =>
  ({ what: 'the same, compressed, of that', unit, comparedTo }) as const;

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
  runCreates: { what: 'the same: creates at the upstream a job', unit: 'count' },
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
  waitP50: {
    what: '`POST /jobs?wait` of an instant answer, one at a time: p50',
    unit: 'ms',
    wanted: { of: 'ours', atMost: 6 },
  },
  waitP99: { what: 'the same: p99', unit: 'ms' },
  streamedResident: {
    what: '5,000 streamed jobs in one worker: resident memory a job',
    unit: 'KB',
    wanted: { of: 'ours', atMost: 45 },
  },
  streamedHeap: { what: 'the same: heap a job', unit: 'KB' },
  streamedEnd: { what: 'the same, all end together: until the last has finished', unit: 's' },
  polledResident: {
    what: '5,000 polled jobs in one worker: resident memory a job',
    unit: 'KB',
    wanted: { of: 'ours', atMost: 25 },
  },
  polledHeap: { what: 'the same: heap a job', unit: 'KB' },
  polledEnd: {
    what: 'the same, all end together: until the last has finished',
    unit: 's',
    wanted: { of: 'ours', atMost: 5 },
  },
  waitersP50: { what: '2,000 waiting callers: end of the job to the answer, p50', unit: 'ms' },
  waitersP99: { what: 'the same: p99', unit: 'ms', wanted: { of: 'ours', atMost: 50 } },
  cancelP50: { what: '`POST /jobs/:id/cancel` until the upstream is told: p50', unit: 'ms' },
  cancelP99: { what: 'the same: p99', unit: 'ms', wanted: { of: 'ours', atMost: 50 } },
  takeoverP50: {
    what: 'a worker is killed: until another has looked its jobs up, p50',
    unit: 's',
    wanted: { of: 'ours', atMost: 2 },
  },
  takeoverMax: { what: 'the same: the last job', unit: 's', wanted: { of: 'ours', atMost: 3 } },
  quotaPerSecond: { what: 'quota of one model: jobs reserved and settled a second', unit: 'per second' },
  quotaRedis: { what: 'the same: CPU of Redis a job', unit: 'µs' },
  largePlainPerSecond: {
    what: '`POST /jobs` with 64 KB of text, 20 connections, stored plain: requests a second',
    unit: 'per second',
  },
  largeCompressedPerSecond: compressed('largePlainPerSecond', 'per second'),
  largePlainP99: { what: 'the same, plain: until the answer, p99', unit: 'ms' },
  largeCompressedP99: compressed('largePlainP99', 'ms'),
  largePlainProducer: { what: 'the same, plain: CPU of the producer a job', unit: 'ms' },
  largeCompressedProducer: compressed('largePlainProducer', 'ms'),
  largePlainRedis: { what: 'the same, plain: CPU of Redis a job', unit: 'µs' },
  largeCompressedRedis: compressed('largePlainRedis', 'µs'),
  contextPlain: { what: 'a job with 1 MB of text, plain: memory of Redis', unit: 'KB' },
  contextCompressed: compressed('contextPlain', 'KB'),
  answerPlain: { what: 'an answer of 200 KB, plain: memory of Redis', unit: 'KB' },
  answerCompressed: compressed('answerPlain', 'KB'),
  answerPlainWrite: { what: 'the same, plain: CPU to write it', unit: 'ms' },
  answerCompressedWrite: compressed('answerPlainWrite', 'ms'),
  answerRead: { what: 'the same, compressed: CPU to read it', unit: 'ms' },
  storedKb: { what: 'a finished job in Redis, beside 1,000: memory', unit: 'KB' },
  list1k: { what: '`GET /jobs` beside 1,000 finished jobs: p50', unit: 'ms' },
  list100k: beside('list1k', '100,000'),
  list1m: beside('list1k', '1,000,000'),
  job1k: { what: '`GET /jobs/:id` beside 1,000 finished jobs: p50', unit: 'ms' },
  job100k: beside('job1k', '100,000'),
  job1m: beside('job1k', '1,000,000'),
  board1k: { what: 'the list of the board beside 1,000 finished jobs: p50', unit: 'ms' },
  board100k: beside('board1k', '100,000'),
  board1m: beside('board1k', '1,000,000'),
  console1k: { what: '`/console/jobs/:id` beside 1,000 finished jobs: p50', unit: 'ms' },
  console100k: beside('console1k', '100,000'),
  console1m: beside('console1k', '1,000,000'),
  now1k: { what: 'the page `/` beside 1,000 finished jobs: p50', unit: 'ms' },
  now100k: beside('now1k', '100,000'),
  now1m: beside('now1k', '1,000,000'),
  search1k: { what: '`GET /jobs?q=` without a match beside 1,000 finished jobs: p50', unit: 'ms' },
  search100k: { what: 'the same beside 100,000', unit: 'ms' },
  search1m: { what: 'the same beside 1,000,000', unit: 'ms' },
  searched1k: { what: 'jobs whose question such a call looks through, beside 1,000', unit: 'count' },
  searched100k: { what: 'the same beside 100,000', unit: 'count' },
  searched1m: { what: 'the same beside 1,000,000', unit: 'count' },
  jobs1k: { what: 'the page `/console/jobs` beside 1,000 finished jobs: p50', unit: 'ms' },
  jobs100k: beside('jobs1k', '100,000'),
  jobs1m: beside('jobs1k', '1,000,000'),
  failures1k: { what: '`/console/failures` beside 1,000 finished jobs: p50', unit: 'ms' },
  failures100k: beside('failures1k', '100,000'),
  failures1m: beside('failures1k', '1,000,000'),
  cost1k: { what: '`/console/cost` beside 1,000 finished jobs: p50', unit: 'ms' },
  cost100k: beside('cost1k', '100,000'),
  cost1m: beside('cost1k', '1,000,000'),
  tenants1k: { what: '`/console/tenants` beside 1,000 finished jobs: p50', unit: 'ms' },
  tenants100k: beside('tenants1k', '100,000'),
  tenants1m: beside('tenants1k', '1,000,000'),
  viewersCpu: {
    what: '50 open pages `/`: CPU of the producer, of a core',
    unit: '%',
    wanted: { of: 'ours', atMost: 5 },
  },
  viewersRedis: { what: 'the same: CPU of Redis, a worker and 500 jobs included', unit: '%' },
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
