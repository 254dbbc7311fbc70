import { randomBytes } from 'node:crypto';
import type { GreedyAnswer, GreedyCalls } from './greedy-calls.ts';
import { abortedCall, connected, keepOpen, pausedIf, sendSlowly, stopped } from './greedy-connections.ts';

/** StormKind is one thing that a greedy tenant does without end. */
export interface StormKind {
  name: StormName;
  /** What happens, with its size, for the report. */
  what: string;
  /** Stores what the storm needs. It is not measured. */
  prepare?: (calls: GreedyCalls, jobs: number) => Promise<string[]>;
  /**
   * Storms until `calls.stopping` aborts.
   * @param ids what `prepare` returned.
   */
  rage: (calls: GreedyCalls, ids: readonly string[]) => Promise<void>;
}

export const STORM_NAMES = [
  'bodies',
  'backlog',
  'slots',
  'streams',
  'silent',
  'slow-readers',
  'slow-bodies',
  'lists',
  'actions',
  'held',
  'aborts',
] as const;
export type StormName = (typeof STORM_NAMES)[number];

const MB = 1024 ** 2;
const HOUR_MS = 3_600_000;
const BODY_MB = 10;
const BODY_LANES = 8;
const BULK = 1000;
const BULK_LANES = 4;
const SLOT_JOBS = 2000;
const STREAMS = 10_000;
const STREAMED_JOBS = 100;
const SILENT = 5000;
const LARGE_ANSWERS = 40;
/** The simulator writes no longer answers. */
const LARGE_ANSWER_TOKENS = 20_000;
const SLOW_READERS = 1000;
const SLOW_BODIES = 2000;
const LIST_LOOPS = 200;
const DRY_LOOPS = 20;
const HELD = 5000;
const ABORTS_AT_ONCE = 200;

export const STORM_KINDS: readonly StormKind[] = [
  {
    name: 'bodies',
    what: `bodies of ${BODY_MB} MB, ${BODY_LANES} at a time`,
    async rage(calls) {
      const question = randomBytes((BODY_MB * MB * 3) / 4).toString('base64');
      const body = Buffer.from(JSON.stringify({ question, delay_ms: HOUR_MS }));
      await calls.loops(BODY_LANES, async () => pausedIf(await calls.call('POST', '/jobs', body), calls));
    },
  },
  {
    name: 'backlog',
    what: `bulks of ${BULK} jobs without end, ${BULK_LANES} at a time`,
    async rage(calls) {
      const body = { jobs: Array.from({ length: BULK }, () => small('0')) };
      await calls.loops(
        BULK_LANES,
        async () => await countBulk(await calls.call('POST', '/jobs/bulk', body), calls),
      );
    },
  },
  {
    name: 'slots',
    what: `${SLOT_JOBS} jobs that run for ten minutes each`,
    async rage(calls) {
      const jobs = Array.from({ length: BULK }, () => small('0', { metadata: { sim_think_ms: '600000' } }));
      for (let sent = 0; sent < SLOT_JOBS && !calls.stopping.aborted; sent += BULK)
        await countBulk(await calls.call('POST', '/jobs/bulk', { jobs }), calls);
      await stopped(calls);
    },
  },
  {
    name: 'streams',
    what: `${STREAMS} event streams of ${STREAMED_JOBS} waiting jobs`,
    prepare: (calls) => delayedJobs(calls, STREAMED_JOBS),
    rage: (calls, ids) =>
      keepOpen(calls, STREAMS, async (place) => {
        const response = await calls.open('GET', `/jobs/${ids[place % ids.length]}/events`);
        if (response === undefined) return false;
        calls.count('opened');
        response.resume();
        return true;
      }),
  },
  {
    name: 'silent',
    what: `${SILENT} connections that never send a request, each opened again when it is closed`,
    rage: (calls) =>
      keepOpen(calls, SILENT, async () => {
        const socket = await connected(calls);
        if (socket === undefined) return false;
        calls.count('opened');
        return new Promise((resolve) => socket.once('close', () => resolve(false)));
      }),
  },
  {
    name: 'slow-readers',
    what: `${SLOW_READERS} readers of ${LARGE_ANSWERS} long answers who stop reading`,
    prepare: largeAnswers,
    rage: (calls, ids) =>
      keepOpen(calls, SLOW_READERS, async (place) => {
        const response = await calls.open('GET', `/jobs/${ids[place % ids.length]}/events`);
        if (response === undefined) return false;
        calls.count('opened');
        response.pause();
        return new Promise((resolve) => {
          response.once('close', () => {
            if (!calls.stopping.aborted) calls.count('closed');
            resolve(false);
          });
        });
      }),
  },
  {
    name: 'slow-bodies',
    what: `${SLOW_BODIES} bodies of 90 KB that come a byte a second`,
    rage: (calls) => keepOpen(calls, SLOW_BODIES, () => sendSlowly(calls)),
  },
  {
    name: 'lists',
    what: `${LIST_LOOPS} loops of searches and lists, over as many jobs as --jobs says`,
    prepare: async (calls, jobs) => delayedJobs(calls, jobs),
    async rage(calls) {
      const paths = ['/jobs?q=does-not-occur', '/jobs?limit=100', '/jobs?id=zz', '/jobs?status=failed&q=a'];
      await calls.loops(LIST_LOOPS, async (turn) =>
        pausedIf(await calls.call('GET', paths[turn % paths.length] ?? ''), calls),
      );
    },
  },
  {
    name: 'actions',
    what: `actions over as many jobs as --jobs says, and ${DRY_LOOPS} loops of dry runs`,
    prepare: async (calls, jobs) => delayedJobs(calls, jobs),
    async rage(calls) {
      await calls.loops(DRY_LOOPS, async (turn) => {
        const kind = turn % 2 === 0 ? 'cancel' : 'delete';
        const body = { filter: {}, ...(turn % 3 !== 0 && { dry_run: true }) };
        await pausedIf(await calls.call('POST', `/jobs/${kind}`, body), calls);
      });
    },
  },
  {
    name: 'held',
    what: `${HELD} calls with ?wait=300 for jobs that do not end`,
    rage: (calls) =>
      keepOpen(calls, HELD, async () => {
        calls.count('sent');
        await calls.call('POST', '/jobs?wait=300', small('0', { delay_ms: HOUR_MS }), true);
        return false;
      }),
  },
  {
    name: 'aborts',
    what: `streamed calls of /v1 whose caller disconnects at once, ${ABORTS_AT_ONCE} at a time`,
    rage: (calls) =>
      calls.loops(ABORTS_AT_ONCE, async (turn) => {
        await abortedCall(calls, { model: 'o3', input: `greedy ${turn}`, stream: true });
        calls.count('disconnected');
      }),
  },
];

function small(name: string, more: object = {}): object {
  return { question: `greedy asks ${name} ${'x'.repeat(200)}`, ...more };
}

/** Stores jobs that are delayed by an hour. @returns their ids. */
async function delayedJobs(calls: GreedyCalls, count: number): Promise<string[]> {
  const ids: string[] = [];
  const bulks = Array.from({ length: Math.ceil(count / BULK) }, (_, i) => Math.min(BULK, count - i * BULK));
  const queue = bulks.values();
  const lane = async (): Promise<void> => {
    for (const size of queue) {
      const jobs = Array.from({ length: size }, (_, i) => small(String(i), { delay_ms: HOUR_MS }));
      const answer = await calls.call('POST', '/jobs/bulk', { jobs });
      ids.push(...idsIn(answer));
    }
  };
  await Promise.all(Array.from({ length: BULK_LANES }, lane));
  if (ids.length === 0) throw new Error('expected some jobs to be accepted, got none');
  return ids;
}

/** Asks for long answers and waits until they are there. @returns the ids of the jobs. */
async function largeAnswers(calls: GreedyCalls): Promise<string[]> {
  const ids: string[] = [];
  const metadata = {
    sim_think_ms: '500',
    sim_deltas: '50',
    sim_output_tokens: String(LARGE_ANSWER_TOKENS),
  };
  const queue = Array.from({ length: LARGE_ANSWERS }, (_, i) => i).values();
  const lane = async (): Promise<void> => {
    for (const i of queue) {
      const answer = await calls.call('POST', '/jobs?wait=60', small(String(i), { metadata }));
      const id = (answer?.body as { id?: string } | undefined)?.id;
      if (id !== undefined) ids.push(id);
    }
  };
  await Promise.all(Array.from({ length: BULK_LANES }, lane));
  return ids;
}

/** BulkOutcome is the outcome of one job of a bulk. */
interface BulkOutcome {
  job?: { id: string };
  problem?: { code: string };
}

function outcomesIn(answer: GreedyAnswer | undefined): BulkOutcome[] {
  return (answer?.body as { outcomes?: BulkOutcome[] } | undefined)?.outcomes ?? [];
}

function idsIn(answer: GreedyAnswer | undefined): string[] {
  return outcomesIn(answer).flatMap(({ job }) => (job === undefined ? [] : [job.id]));
}

/** Counts the outcomes within a bulk. */
async function countBulk(answer: GreedyAnswer | undefined, calls: GreedyCalls): Promise<void> {
  const outcomes = outcomesIn(answer);
  for (const { problem } of outcomes)
    calls.count(problem === undefined ? 'jobs accepted' : `jobs ${problem.code}`);
  const isRefused = outcomes.every(({ problem }) => problem !== undefined);
  await pausedIf(isRefused ? undefined : answer, calls);
}
