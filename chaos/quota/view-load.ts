import { Agent, request } from 'node:http';
import { sleep } from '../../src/async/sleep.ts';
import type { Requirement } from '../evidence/report.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { percentile } from '../fleet/timing.ts';

const PER_SECOND = 1000;
const FOR_MS = 10_000;
const STEP_MS = 10;
const CONNECTIONS = 64;
/** The least share of the planned requests that must be answered; this process itself loses some. */
const LEAST_ANSWERED = 0.97;
const MOST_P99_MS = 1000;

/** loadOfViews sends a thousand `GET /jobs/:id` per second, for waiting jobs. */
export async function loadOfViews(
  { producerUrl }: Fleet,
  ids: readonly string[],
  signal: AbortSignal,
  progress: (line: string) => void,
): Promise<Requirement[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const latencies: number[] = [];
  const open: Promise<void>[] = [];
  let waiting = 0;
  let failed = 0;
  try {
    const startedAt = performance.now();
    for (let sent = 0; performance.now() - startedAt < FOR_MS; ) {
      const due = ((performance.now() - startedAt) * PER_SECOND) / 1000;
      for (; sent < due; sent += 1) {
        // The load views the second half of the jobs, because the last jobs wait longest.
        const id = ids[ids.length - 1 - (sent % Math.ceil(ids.length / 2))] ?? '';
        const askedAt = performance.now();
        open.push(
          view(new URL(`/jobs/${id}`, producerUrl), agent).then(
            (status) => {
              latencies.push(performance.now() - askedAt);
              if (status === 'waiting') waiting += 1;
            },
            () => {
              failed += 1;
            },
          ),
        );
      }
      progress(`${latencies.length} views`);
      await sleep(STEP_MS, signal);
    }
    await Promise.all(open);
    const perSecond = (latencies.length * 1000) / (performance.now() - startedAt);
    const [p50 = 0, p99 = 0] = [0.5, 0.99].map((share) => percentile(latencies, share));
    return [
      {
        what: 'views of waiting jobs per second',
        required: `≥ ${PER_SECOND * LEAST_ANSWERED}, none failed`,
        measured: `${perSecond.toFixed(0)} (${waiting} of ${latencies.length} waited; ${failed} failed)`,
        met: perSecond >= PER_SECOND * LEAST_ANSWERED && failed === 0 && waiting > latencies.length / 2,
      },
      {
        what: 'time until such a view arrives: p50, p99',
        required: `p99 ≤ ${MOST_P99_MS} ms`,
        measured: `${p50.toFixed(1)}, ${p99.toFixed(1)} ms`,
        met: p99 <= MOST_P99_MS,
      },
    ];
  } finally {
    agent.destroy();
  }
}

/**
 * @returns the job's status. It uses node:http, because the time that fetch itself takes would be measured
 * too.
 */
function view(url: URL, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.once('error', reject);
      response.once('end', () => {
        const text = Buffer.concat(pieces).toString();
        const [, status = ''] = /"status":"(\w+)"/.exec(text) ?? [];
        if (response.statusCode === 200) resolve(status);
        else reject(new Error(`expected 200, got ${response.statusCode}: ${text.slice(0, 200)}`));
      });
    });
    sent.once('error', reject);
    sent.end();
  });
}
