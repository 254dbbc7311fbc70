import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultModels } from '../../src/config/file.ts';
import { createCompression, wholeResponse } from '../../src/job/fields/compression.ts';
import { type BenchStage, type Measurement, scaled } from '../measurement.ts';
import { applyLoad } from '../rig/http-load.ts';
import { createMeter } from '../rig/meter.ts';
import { type Rig, withRig } from '../rig/rig.ts';

const KB = 1024;
const CALLERS = 20;
const WARM_UP_REQUESTS = 300;
const LOAD_MS = 6000;
/** How many answers are compressed, one after the other. */
const ANSWERS = 200;
const SUFFIXES = ['Plain', 'Compressed'] as const;
type Suffix = (typeof SUFFIXES)[number];

/** compression measures what the compression of large requests and answers costs and saves. */
export const compression: Measurement = {
  name: 'compression',
  description: 'large requests and answers, plain and compressed in Redis',
  measure: (stage) =>
    withRig(stage, { config: { compressAboveKb: 0 } }, (plain) =>
      withRig(stage, {}, async (compressed) => {
        const text = repositoryText();
        const rigs = { Plain: plain, Compressed: compressed };
        for (let round = 0; round < stage.rounds; round += 1) {
          for (const suffix of round % 2 === 0 ? SUFFIXES : SUFFIXES.toReversed()) {
            stage.progress(`${suffix.toLowerCase()}, round ${round + 1} of ${stage.rounds}`);
            await measureRequests(stage, rigs[suffix], suffix, text);
            await measureAnswer(stage, rigs[suffix], suffix, text);
          }
        }
      }),
    ),
};

/** repositoryText returns more than a megabyte of English and code: the documents and sources of o3-queue. */
function repositoryText(): string {
  const files = ['docs', 'src'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path)),
  );
  const texts = files.filter((path) => /\.(md|ts)$/.test(path)).sort();
  return texts.map((path) => readFileSync(path, 'utf8')).join('\n');
}

async function measureRequests(stage: BenchStage, rig: Rig, suffix: Suffix, text: string): Promise<void> {
  const { signal, tally } = stage;
  const { ours } = rig.sides;
  const load = (until: Parameters<typeof applyLoad>[0]['until'], length = 64 * KB, callers = CALLERS) => {
    const body = { question: 'What is wrong here?', context: text.slice(0, length) };
    return applyLoad({ ...{ url: ours.url, path: '/jobs', body, callers, until, signal }, expected: 202 });
  };
  await load({ requests: scaled(stage, WARM_UP_REQUESTS, 50) });
  const used = await createMeter(rig.redis, [ours.producer]);
  const { perSecond, p99Ms, requests } = await load({ ms: scaled(stage, LOAD_MS, 500) });
  const { redis, processMs } = await used();
  tally.add(`large${suffix}PerSecond`, 'ours', perSecond);
  tally.add(`large${suffix}P99`, 'ours', p99Ms);
  tally.add(`large${suffix}Producer`, 'ours', processMs / requests);
  tally.add(`large${suffix}Redis`, 'ours', (redis.cpuMs * 1000) / requests);
  await rig.redis.flushdb();
  await load({ requests: 1 }, KB ** 2, 1);
  const [key = ''] = await rig.redis.keys(ours.jobKey('job_*'));
  tally.add(`context${suffix}`, 'ours', await memoryOf(rig, key));
  await rig.redis.flushdb();
}

async function measureAnswer({ tally }: BenchStage, rig: Rig, suffix: Suffix, text: string): Promise<void> {
  const { response } = createCompression(suffix === 'Plain' ? 0 : defaultModels().compressAboveKb);
  const content = [{ type: 'output_text', text: text.slice(0, 200 * KB) }];
  const answer = { output: [{ type: 'message', content }] };
  const stored = Buffer.from(await response(answer));
  await rig.redis.set('answer', stored);
  tally.add(`answer${suffix}`, 'ours', await memoryOf(rig, 'answer'));
  tally.add(`answer${suffix}Write`, 'ours', await cpuMsOf(() => response(answer)));
  if (suffix === 'Plain') return;
  tally.add('answerRead', 'ours', await cpuMsOf(() => wholeResponse(stored, 'job_1')));
}

async function memoryOf({ redis }: Rig, key: string): Promise<number> {
  return ((await redis.memory('USAGE', key, 'SAMPLES', 0)) ?? Number.NaN) / KB;
}

/** Returns the CPU time of this process for one call of many, in milliseconds, threads included. */
async function cpuMsOf(work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  for (let i = 0; i < ANSWERS; i += 1) await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / ANSWERS;
}
