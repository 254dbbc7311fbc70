import { isFinished, STATUS_TABLE } from '../../src/job/job.ts';
import type { JobView } from '../../src/job/view.ts';
import type { Offence } from '../scenario.ts';
import type { Evidence, JobEvidence, Leftovers } from './evidence.ts';
import type { LedgerEntry } from './ledger.ts';

/** A create that was on its way when the cancel was answered may still arrive at the upstream, within this time. */
const ON_ITS_WAY_MS = 1000;

/** What holds for every job, whatever was broken meanwhile. Each rule says what is wrong, or nothing. */
type Rule = (job: JobEvidence, onItsWayMs: number) => { expected: string; seen: string } | undefined;

const RULES: Record<string, Rule> = {
  'an accepted job is never lost': ({ history, last }) =>
    history.accepted && last === undefined
      ? { expected: 'a job', seen: `none with the id ${history.id}` }
      : undefined,

  'a job ends once, and stays as it ended': ({ history, last }) =>
    last === undefined || (history.ends.length === 1 && isFinished(last.status))
      ? undefined
      : { expected: 'one finished status', seen: [...history.ends, `now ${last.status}`].join(', ') },

  'a job is bought once, except where the upstream lost or failed it, or nobody can know': (job) => {
    const uncertain = uncertainPurchases(job.last);
    const allowed = 1 + job.bought.filter(isSpoilt).length + uncertain;
    return job.bought.length <= allowed
      ? undefined
      : {
          expected: `at most ${allowed} purchases (${uncertain} uncertain)`,
          seen: `${job.bought.length}: ${job.bought.map(entryText).join(', ')}`,
        };
  },

  'the record knows what was bought': ({ last, bought }) => {
    if (last === undefined) return undefined;
    const most = last.purchases + last.uncertain_purchases;
    return bought.length >= last.purchases && bought.length <= most
      ? undefined
      : {
          expected: `${last.purchases} to ${most} purchases, as its view says`,
          seen: `${bought.length}: ${bought.map(entryText).join(', ')}`,
        };
  },

  'no cancelled job is bought after the answer, and one on its way is stopped': (job, onItsWayMs) => {
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

  'no job fails by a fault of ours': ({ last }) =>
    last?.status === 'failed' && last.error.code === 'internal_error'
      ? { expected: "a failure of the upstream's or the caller's", seen: last.error.message }
      : undefined,
};

/** @param onItsWayMs how long after it was sent a create may reach the upstream: longer where a black hole held it up. */
export function findOffences({ jobs, leftovers }: Evidence, onItsWayMs = ON_ITS_WAY_MS): Offence[] {
  const broken = Object.entries(RULES).flatMap(([rule, judge]) =>
    jobs.flatMap((job) => {
      const verdict = judge(job, onItsWayMs);
      return verdict === undefined ? [] : [{ rule, about: aboutJob(job), ...verdict }];
    }),
  );
  const running = withoutUnknown(leftovers.running, jobs);
  return [...broken, ...leftBehind({ ...leftovers, running })];
}

/** How many rules there are to be broken, for the table. */
export const RULE_COUNT = Object.keys(RULES).length + 1;

/** Creates of which nobody knows whether the upstream took them. */
export function uncertainPurchases(view: JobView | undefined): number {
  return view?.uncertain_purchases ?? 0;
}

/** The upstream has taken the money and has nothing to show for it, so that buying again is right. */
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
      (canBeStopped(entry) && entry.cancelled_at === null),
  );
  // Sent before the cancel, held up on the wire, and so late that nobody waited for its id: the job says so.
  return wrong.slice(uncertainPurchases(last));
}

/** Not where the simulator hides the response from whoever bought it. */
function canBeStopped({ metadata }: LedgerEntry): boolean {
  return !/gone|reset_created|hang_created/.test(metadata['sim'] ?? '');
}

/** A response whose id never came home cannot be stopped: as many as are uncertain may go on. */
function withoutUnknown(running: readonly string[], jobs: readonly JobEvidence[]): string[] {
  const unknown = new Map(jobs.map(({ history, last }) => [history.name, uncertainPurchases(last)]));
  return running.filter((job) => {
    const left = unknown.get(job) ?? 0;
    unknown.set(job, left - 1);
    return left <= 0;
  });
}

function leftBehind(leftovers: Leftovers): Offence[] {
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
