import { join } from 'node:path';
import { runStorm } from '../../../chaos/crashes/storm.ts';
import { isClean, reportText } from '../../../chaos/evidence/report.ts';
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
  },
};

test(
  'a short storm breaks no invariant: nothing lost, nothing bought twice, nothing left',
  async () => {
    const said: string[] = [];
    const report = await runStorm(
      {
        seed: SEED,
        program: join(__dirname, '../../../dist/cli/main.js'),
        redisServer: serverOfThisMachine(),
        signal: new AbortController().signal,
        say: (line) => said.push(line),
        progress: () => {},
      },
      SHORT,
    );
    expect(said).toEqual(expect.arrayContaining([expect.stringMatching(/worker killed/)]));
    if (!isClean(report)) throw new Error([`seed ${SEED}`, ...said, reportText(report)].join('\n'));
  },
  PROCESS_LIMIT_MS,
);
