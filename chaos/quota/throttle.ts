import { z } from 'zod';
import { sleep } from '../../src/async/sleep.ts';
import { readLedger } from '../evidence/ledger.ts';
import { figure, percent } from '../evidence/report.ts';
import { jobName } from '../fleet/job-plan.ts';
import { becomes, inParallel } from '../fleet/timing.ts';
import { type Findings, scenario, type World } from '../scenario.ts';

const WORKERS = 4;
const STARTS_PER_SECOND = 40;
const RETRY_AFTER_MS = 5000;
/**
 * A create that was sent before the first 429 may still arrive for this long after that 429, in milliseconds.
 */
const ON_THE_WIRE_MS = 50;
const BACK_WITHIN_MS = 2000;
const BACK_AT = 0.9;
const THINK_MS = { least: 500, most: 2000 };
/** How long the fleet runs before the measurement, in milliseconds. At first a quota allows a burst. */
const WARM_UP_MS = 12_000;
const BEFORE_MS = 10_000;
const AFTER_MS = 10_000;
const STEP_MS = 50;
const BULK = 500;
const MODEL = 'o3';

/** runThrottle lets the upstream answer 429 with Retry-After while the fleet runs at full speed. */
export const runThrottle = scenario(
  { workers: WORKERS, config: { models: { [MODEL]: { requestsPerMinute: STARTS_PER_SECOND * 60 } } } },
  throttle,
);

const outageSchema = z.object({ throttled_until: z.number() });

async function throttle({ fleet, random, signal, progress }: World): Promise<Findings> {
  const lastMs = WARM_UP_MS + BEFORE_MS + RETRY_AFTER_MS + AFTER_MS;
  const jobs = Math.ceil((STARTS_PER_SECOND * lastMs * 1.5) / 1000 / BULK) * BULK;
  const requests = Array.from({ length: jobs }, (_, index) => ({
    question: `${jobName(index)} meets a throttle`,
    metadata: { sim_think_ms: String(random.between(THINK_MS.least, THINK_MS.most)), sim_deltas: '2' },
  }));
  progress(`enqueueing ${jobs} jobs`);
  const bulks = Array.from({ length: jobs / BULK }, (_, i) => requests.slice(i * BULK, (i + 1) * BULK));
  await inParallel(bulks, 2, async (bulk) => {
    for (const outcome of await fleet.client.enqueueBulk(bulk, { signal }))
      if (!outcome.ok) throw outcome.error;
  });
  const started = async (): Promise<boolean> => (await readLedger(fleet.upstreamUrl)).totals.purchases > 0;
  if (!(await becomes(started, 10_000, signal))) throw new Error('expected a create within 10 s, saw none');
  progress('full speed');
  await sleep(WARM_UP_MS + BEFORE_MS, signal);

  progress('429');
  const saidAt = Date.now();
  const answer = await fetch(new URL('/simulator/weather', fleet.upstreamUrl), {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ throttle_ms: RETRY_AFTER_MS }),
  });
  const { throttled_until: endsAt } = outageSchema.parse(await answer.json());
  await sleep(endsAt + AFTER_MS - Date.now(), signal);
  const { responses, throttled_at: throttledAt, totals } = await readLedger(fleet.upstreamUrl);

  const times = responses.map(({ created_at: at }) => at);
  const between = (from: number, to: number): number => times.filter((at) => at >= from && at < to).length;
  const before = (between(saidAt - BEFORE_MS, saidAt) * 1000) / BEFORE_MS;
  const firstAt = throttledAt[0] ?? Number.NaN;
  const late = throttledAt.filter((at) => at > firstAt + ON_THE_WIRE_MS);
  const backMs = backAfter((ms) => between(endsAt + ms, endsAt + ms + 1000) >= BACK_AT * before);
  const lastedFrom = endsAt + BACK_WITHIN_MS;
  const after = (between(lastedFrom, endsAt + AFTER_MS) * 1000) / (AFTER_MS - BACK_WITHIN_MS);
  return {
    requirements: [
      figure('workers, and creates per second before the 429', `${WORKERS}, ${before.toFixed(1)}`),
      {
        what: 'creates that were already on their way and got 429',
        required: '≥ 1',
        measured: `${throttledAt.length - late.length} within ${ON_THE_WIRE_MS} ms of the first`,
        met: throttledAt.length > 0 && totals.during_throttle === throttledAt.length,
      },
      {
        what: 'later creates, before the throttle has ended',
        required: '0',
        measured:
          late.length === 0
            ? '0'
            : `${late.length}, after ${late
                .slice(0, 10)
                .map((at) => at - firstAt)
                .join(', ')} ms`,
        met: late.length === 0,
      },
      {
        what: `from the end of the throttle to a second with ≥ ${percent(BACK_AT)} of the earlier creates`,
        required: `≤ ${BACK_WITHIN_MS} ms`,
        measured: `${backMs} ms`,
        met: backMs <= BACK_WITHIN_MS,
      },
      {
        what: `creates per second, from ${BACK_WITHIN_MS / 1000} s after the end of the throttle`,
        required: `≥ ${(before * BACK_AT).toFixed(1)}`,
        measured: after.toFixed(1),
        met: after >= before * BACK_AT,
      },
      figure(
        'creates in each of the first seconds after the throttle',
        [0, 1, 2, 3].map((s) => between(endsAt + s * 1000, endsAt + (s + 1) * 1000)).join(', '),
      ),
    ],
  };
}

/** Returns the first moment at which the speed is back, in milliseconds. Infinity: never. */
function backAfter(isBack: (ms: number) => boolean): number {
  for (let ms = 0; ms <= AFTER_MS - 1000; ms += STEP_MS) if (isBack(ms)) return ms;
  return Number.POSITIVE_INFINITY;
}
