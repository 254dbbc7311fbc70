import { isFinished, STATUS_TABLE } from '../../src/job/job.ts';
import type { JobView } from '../../src/job/view.ts';
import type { Evidence, JobEvidence, Leftovers } from './evidence.ts';
import type { LedgerEntry } from './ledger.ts';
import type { Violation } from './report.ts';

/**
 * How long a create that was on its way when the cancel was answered may take to reach the upstream, in
 * milliseconds.
 */
const ON_ITS_WAY_MS = 1000;

/**
 * A rule must hold for every job, regardless of what was broken in the meantime. It returns what is wrong, or
 * undefined.
 */
type Rule = (job: JobEvidence, onItsWayMs: number) => { expected: string; seen: string } | undefined;

const RULES: Record<string, Rule> = {
  'an accepted job is never lost': ({ history, last }) =>
    history.accepted && last === undefined
      ? { expected: 'a job', seen: `none with the id ${history.id}` }
      : undefined,

  'a job ends once and keeps its final status': ({ history, last }) =>
    last === undefined || (history.ends.length === 1 && isFinished(last.status))
      ? undefined
      : { expected: 'one finished status', seen: [...history.ends, `now ${last.status}`].join(', ') },

  'a job is bought once, unless the upstream lost or failed it, or the purchase is uncertain': (job) => {
    const uncertain = uncertainPurchases(job.last);
    const allowed = 1 + job.bought.filter(isSpoilt).length + uncertain;
    return job.bought.length <= allowed
      ? undefined
      : {
          expected: `at most ${allowed} purchases (${uncertain} uncertain)`,
          seen: `${job.bought.length}: ${job.bought.map(entryText).join(', ')}`,
        };
  },

  'the job counts every purchase': ({ last, bought }) => {
    if (last === undefined) return undefined;
    const most = last.purchases + last.uncertain_purchases;
    return bought.length >= last.purchases && bought.length <= most
      ? undefined
      : {
          expected: `${last.purchases} to ${most} purchases, as its view says`,
          seen: `${bought.length}: ${bought.map(entryText).join(', ')}`,
        };
  },

  'no job is bought after its cancel was answered, and a late purchase is stopped': (job, onItsWayMs) => {
    const late = lateAfterCancel(job, onItsWayMs);
    return late.length === 0
      ? undefined
      : {
          expected: `nothing bought after ${job.history.cancelAnsweredAt}`,
          seen: late.map(entryText).join(', '),
        };
  },

  "BullMQ's state agrees with the view": ({ last, bullmq }) =>
    last === undefined || STATUS_TABLE[last.status].bullmq.includes(bullmq ?? '')
      ? undefined
      : {
          expected: `${STATUS_TABLE[last.status].bullmq.join(' or ')} for ${last.status}`,
          seen: String(bullmq),
        },

  'no job fails with an internal error': ({ last }) =>
    last?.status === 'failed' && last.error.code === 'internal_error'
      ? { expected: 'a failure of the upstream or the caller', seen: last.error.message }
      : undefined,
};

/**
 * findViolations checks every rule for every job.
 * @param onItsWayMs how long a create that was already sent may take to reach the upstream, in milliseconds.
 * It is longer if a black hole delayed the create.
 */
export function findViolations({ jobs, leftovers }: Evidence, onItsWayMs = ON_ITS_WAY_MS): Violation[] {
  const broken = Object.entries(RULES).flatMap(([rule, judge]) =>
    jobs.flatMap((job) => {
      const verdict = judge(job, onItsWayMs);
      return verdict === undefined ? [] : [{ rule, about: aboutJob(job), ...verdict }];
    }),
  );
  const running = withoutUnknown(leftovers.running, jobs);
  return [...broken, ...leftBehind({ ...leftovers, running })];
}

/** The number of rules, for the table. */
export const RULE_COUNT = Object.keys(RULES).length + 1;

/** uncertainPurchases is the number of creates whose outcome is unknown. */
export function uncertainPurchases(view: JobView | undefined): number {
  return view?.uncertain_purchases ?? 0;
}

/**
 * Returns whether the upstream charged for the response but lost or failed it. Another purchase is then
 * right.
 */
function isSpoilt({ state, metadata }: LedgerEntry): boolean {
  return state === 'failed' || (metadata['sim'] ?? '').includes('gone');
}

function lateAfterCancel({ history, last, bought }: JobEvidence, onItsWayMs: number): LedgerEntry[] {
  const { cancelAnsweredAt } = history;
  if (cancelAnsweredAt === undefined || last?.status !== 'cancelled') return [];
  const after = bought.filter(({ created_at }) => created_at > cancelAnsweredAt);
  const wrong = after.filter(
    (entry) =>
      entry.created_at > cancelAnsweredAt + onItsWayMs ||
      (canBeStopped(entry) &&
        entry.cancelled_at === null &&
        !hasEndedBy(cancelAnsweredAt + onItsWayMs, entry)),
  );
  // For each uncertain purchase one create was sent before the cancel, and was delayed for so long that no
  // worker waited for its id any more.
  return wrong.slice(uncertainPurchases(last));
}

/** Returns whether a response ended by itself before a worker had to have stopped it. */
function hasEndedBy(time: number, { ended_at }: LedgerEntry): boolean {
  return ended_at !== null && ended_at <= time;
}

/**
 * Returns whether a worker can stop a response. It cannot stop one that the simulator hides from all workers.
 */
function canBeStopped({ metadata }: LedgerEntry): boolean {
  return !/gone|reset_created|hang_created/.test(metadata['sim'] ?? '');
}

/**
 * A response whose id never arrived cannot be stopped. A job may have one for each of its uncertain
 * purchases.
 */
function withoutUnknown(running: readonly string[], jobs: readonly JobEvidence[]): string[] {
  const unknown = new Map(jobs.map(({ history, last }) => [history.name, uncertainPurchases(last)]));
  return running.filter((job) => {
    const left = unknown.get(job) ?? 0;
    unknown.set(job, left - 1);
    return left <= 0;
  });
}

function leftBehind(leftovers: Leftovers): Violation[] {
  return Object.entries(leftovers)
    .filter(([, left]) => left.length > 0)
    .map(([place, left]) => ({
      rule: 'nothing is left locked, listed or running',
      about: place,
      expected: 'none',
      seen: `${left.length}: ${left.slice(0, 20).join(', ')}`,
    }));
}

function aboutJob({ history }: JobEvidence): string {
  return `${history.name} (${history.id ?? 'no id'})`;
}

function entryText({ response_id, state, created_at, metadata }: LedgerEntry): string {
  const fault = metadata['sim'] === undefined ? '' : `, ${metadata['sim']}`;
  return `${response_id} (${state}, bought at ${created_at}${fault})`;
}
