import { runStorm } from '../../../chaos/crashes/storm.ts';
import { FORECAST } from '../../../chaos/weather/forecast.ts';
import { runWeather } from '../../../chaos/weather/weather.ts';
import { assertClean, PROCESS_LIMIT_MS, stageSaying } from '../../support/chaos-stage.ts';

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
    assertClean(report, said);
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
    assertClean(report, said);
  },
  PROCESS_LIMIT_MS,
);
