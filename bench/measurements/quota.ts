import { createQuota, type QuotaLimits } from '../../src/quota/quota.ts';
import { type Measurement, scaled } from '../measurement.ts';
import { createMeter } from '../rig/meter.ts';
import { withRig } from '../rig/rig.ts';

const LANES = 50;
const LOAD_MS = 4000;
/** Limits that are far away, so that every decision goes through all checks and is a yes. */
const LIMITS: QuotaLimits = { requestsPerMinute: 1e8, tokensPerMinute: 1e12, maxInFlight: 1e6 };
const USED = { inputTokens: 125, outputTokens: 800, durationMs: 1000 };

/** quota measures how many jobs a minute the quota of one upstream model could pass. */
export const quota: Measurement = {
  name: 'quota',
  description: 'decisions of the quota of one model: reserve for a job, then settle it, 50 at a time',
  measure: (stage) =>
    withRig(stage, {}, async ({ redis }) => {
      const { signal, tally, rounds } = stage;
      const decisions = createQuota(redis, 'bench', 'o3');
      for (let round = 0; round < rounds; round += 1) {
        stage.progress(`quota, round ${round + 1} of ${rounds}`);
        const used = await createMeter(redis, []);
        const startedAt = performance.now();
        const endsAt = startedAt + scaled(stage, LOAD_MS, 500);
        let settled = 0;
        const lane = async (_: unknown, number: number): Promise<void> => {
          for (let i = 0; performance.now() < endsAt; i += 1) {
            signal.throwIfAborted();
            const id = `o3:job-${round}-${number}-${i}`;
            const need = { id, inputTokens: USED.inputTokens, class: '/medium' };
            const { answers } = await decisions.reserve([need], LIMITS);
            if (typeof answers[0] !== 'number') throw new Error(`expected tokens, got ${answers[0]}`);
            await decisions.settle(id, USED);
            settled += 1;
          }
        };
        await Promise.all(Array.from({ length: LANES }, lane));
        tally.add('quotaPerSecond', 'ours', (settled * 1000) / (performance.now() - startedAt));
        tally.add('quotaRedis', 'ours', ((await used()).redis.cpuMs * 1000) / settled);
      }
    }),
};
