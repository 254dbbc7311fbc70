import { join } from 'node:path';
import { runStorm } from '../../../chaos/crashes/storm.ts';
import { isClean, reportText } from '../../../chaos/evidence/report.ts';
import type { Stage } from '../../../chaos/fleet/stage.ts';
import { FORECAST } from '../../../chaos/weather/forecast.ts';
import { runWeather } from '../../../chaos/weather/weather.ts';
import { serverOfThisMachine } from '../../support/redis/redis-server.ts';

/** The seed changes only by hand, so that a storm that fails can be played again. */
const SEED = 3;
const PROCESS_LIMIT_MS = 120_000;
const SHORT = {
  durationMs: 8000,
  jobs: 40,
  workers: 2,
  webhooks: false,
  counts: {
    'worker killed': 1,
    'worker deployed': 1,
    'producer killed': 0,
    'redis killed': 1,
    'black hole': 0,
    'connections reset': 1,
    weather: 0,
  },
};

test(
  'a short storm breaks no invariant: nothing lost, nothing bought twice, nothing left',
  async () => {
    const said: string[] = [];
    const report = await runStorm(stageSaying(said), SHORT);
    expect(said).toEqual(expect.arrayContaining([expect.stringMatching(/worker killed/)]));
    if (!isClean(report)) throw new Error([`seed ${SEED}`, ...said, reportText(report)].join('\n'));
  },
  PROCESS_LIMIT_MS,
);

test(
  'two weathers charge and fail no job, are named by every source, and end by themselves',
  async () => {
    const said: string[] = [];
    const report = await runWeather(stageSaying(said), {
      jobs: 20,
      weathers: FORECAST.filter(({ name }) => /^401|^Redis is full/.test(name)),
      maxInFlight: 2,
      durationMs: 20_000,
    });
    expect(said.filter((line) => line.endsWith(': ends'))).toHaveLength(2);
    if (!isClean(report)) throw new Error([`seed ${SEED}`, ...said, reportText(report)].join('\n'));
  },
  PROCESS_LIMIT_MS,
);

function stageSaying(said: string[]): Stage {
  return {
    seed: SEED,
    program: join(__dirname, '../../../dist/cli/main.js'),
    redisServer: serverOfThisMachine(),
    signal: new AbortController().signal,
    say: (line) => said.push(line),
    progress: () => {},
  };
}
