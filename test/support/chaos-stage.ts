import { join } from 'node:path';
import { isClean, type Report, reportText } from '../../chaos/evidence/report.ts';
import type { Stage } from '../../chaos/fleet/stage.ts';
import { serverOfThisMachine } from './redis/redis-server.ts';

/** The seed changes only by hand, so that a run that fails can be played again. */
const SEED = 3;

/** PROCESS_LIMIT_MS is how long a short run of real processes may take on a busy machine. */
export const PROCESS_LIMIT_MS = 240_000;

/** stageSaying returns a stage for a short run of `npm run chaos`, whose lines are collected. */
export function stageSaying(said: string[]): Stage {
  return {
    seed: SEED,
    program: join(__dirname, '../../dist/cli/main.js'),
    redisServer: serverOfThisMachine(),
    signal: new AbortController().signal,
    say: (line) => said.push(line),
    progress: () => {},
  };
}

/** Throws the whole report unless it is clean. */
export function assertClean(report: Report, said: readonly string[]): void {
  if (!isClean(report)) throw new Error([`seed ${SEED}`, ...said, reportText(report)].join('\n'));
}
