import type { Ack } from '../../src/redis/ack/level.ts';
import { findViolations, uncertainPurchases } from '../evidence/checks.ts';
import type { Evidence, JobEvidence } from '../evidence/evidence.ts';
import { jobNameIn, type LedgerEntry } from '../evidence/ledger.ts';
import { exactly, figure, type Requirement, seconds } from '../evidence/report.ts';
import { percentile } from '../fleet/timing.ts';
import type { Findings } from '../scenario.ts';
import type { Asked } from './steady-callers.ts';
import { BACKGROUND, FOREGROUND, type Strike, type Variant } from './variants.ts';

/** Seen is everything that is known after a variant. */
interface Seen {
  variant: Variant;
  /** `O3Q_ACK` of producers and workers. */
  ack: Ack;
  strike: Strike;
  asked: readonly Asked[];
  evidence: Evidence;
  /** The ledger of the upstream. */
  responses: readonly LedgerEntry[];
}

const AT_WORK_LIMIT_MS = 5000;

/** findingsOf says what a failure of Redis has cost. */
export function findingsOf(seen: Seen): Findings {
  const { variant, asked, evidence, strike } = seen;
  const excuses = excusesFor(seen);
  const others = evidence.jobs.filter(
    (job) => !excuses.isLostJob(job) && !excuses.isLostAnswer(job.history.name),
  );
  const rows: Requirement[] = [
    figure(
      'accepted',
      byModel(asked, (one) => one.acceptedAt !== undefined, asked),
    ),
    ...lossRequirements(seen, excuses),
    ...acknowledged(seen),
    ...purchaseRequirements(seen, excuses),
    exactly('answered with 500', 0, answersOf(asked).filter(({ status }) => isBroken(status)).length),
    ...darkness(seen),
    figure('what callers saw', callersSaw(asked)),
  ];
  return {
    requirements: rows.map((row) => ({ ...row, what: `${variant.name}: ${row.what}` })),
    violations: findViolations(
      { ...evidence, jobs: others },
      strike.backAt - strike.faultAt + AT_WORK_LIMIT_MS,
    ),
  };
}

/** Excuses says which losses are caused by asynchronous replication alone. */
interface Excuses {
  /** Whether only the old master knew this job. */
  isLostJob(job: JobEvidence): boolean;
  /**
   * Whether only the old master may have had the answer of this job, so that the job is bought again. In the
   * background that is so only if the response was bought and has ended between the cut and the kill: then the
   * new master knows nothing of it, and no worker holds it any more.
   */
  isLostAnswer(name: string): boolean;
}

/** How long after its purchase the id of a response may be stored, in milliseconds. */
const STORED_MS = 1000;

function excusesFor({ ack, asked, responses, strike: { unreplicated } }: Seen): Excuses {
  if (unreplicated === undefined) return { isLostJob: () => false, isLostAnswer: () => false };
  const { from, to } = unreplicated;
  const of = new Map(asked.map((one) => [one.name, one]));
  const boughtBefore = responses.filter(({ created_at }) => created_at < to);
  const endedBefore = boughtBefore.filter(
    ({ created_at, ended_at }) => created_at > from - STORED_MS && ended_at !== null && ended_at < to,
  );
  const namesOf = (some: typeof responses) => new Set(some.map(({ question }) => jobNameIn(question)));
  const [inForeground, inBackground] = [namesOf(boughtBefore), namesOf(endedBefore)];
  return {
    isLostJob({ history, last }) {
      const { acceptedAt = 0, answers = [] } = of.get(history.name) ?? {};
      // The kill ends the waits for the replica or the disk, and their answers come after it.
      const isUnconfirmed = ack !== 'memory' && answers.at(-1)?.ack === 'memory';
      return last === undefined && acceptedAt >= from && (acceptedAt <= to || isUnconfirmed);
    },
    isLostAnswer: (name) => (of.get(name)?.model === FOREGROUND ? inForeground : inBackground).has(name),
  };
}

function lossRequirements(
  { asked, evidence, strike: { unreplicated } }: Seen,
  { isLostJob }: Excuses,
): Requirement[] {
  const lost = evidence.jobs.filter(({ history, last }) => history.accepted && last?.status !== 'completed');
  const excused = lost.filter(isLostJob);
  const names = new Set(lost.map(({ history }) => history.name));
  const rest = exactly('accepted and lost', 0, lost.length - excused.length);
  if (unreplicated === undefined)
    return [{ ...rest, measured: byModel(asked, ({ name }) => names.has(name)) }];
  const { from, to } = unreplicated;
  const unsafe = new Set(excused.map(({ history }) => history.name));
  for (const { name, acceptedAt = 0 } of asked) if (acceptedAt >= from && acceptedAt <= to) unsafe.add(name);
  return [rest, figure('accepted by the old master alone', `${unsafe.size}, lost ${excused.length}`)];
}

/**
 * acknowledged says what the answers promised and what came of it. Redis must not lose a job whose answer said
 * `replica`: that replica goes on. `disk` promises nothing when another server goes on.
 */
function acknowledged({ ack, asked, evidence, strike: { faultAt } }: Seen): Requirement[] {
  const lost = new Set(
    evidence.jobs.flatMap(({ history, last }) =>
      history.accepted && last === undefined ? [history.name] : [],
    ),
  );
  const accepted = asked.filter(({ acceptedAt }) => acceptedAt !== undefined);
  const confirmed = accepted.filter(({ answers }) => answers.at(-1)?.ack === ack);
  const took = answersOf(asked)
    .filter(({ at, status }) => at < faultAt && status === 202)
    .map(({ tookMs }) => tookMs);
  return [
    ...(ack !== 'replica'
      ? []
      : [
          exactly(
            `lost, of those whose answer said ${ack}`,
            0,
            confirmed.filter(({ name }) => lost.has(name)).length,
          ),
        ]),
    figure(
      `accepted, of these with ${ack} in the answer, lost`,
      [accepted.length, confirmed.length, lost.size].join(', '),
    ),
    figure(
      'to be accepted, before the fault: p50, p99',
      `${percentile(took, 0.5)} ms, ${percentile(took, 0.99)} ms`,
    ),
  ];
}

function purchaseRequirements(
  { asked, evidence, responses, strike }: Seen,
  { isLostAnswer }: Excuses,
): Requirement[] {
  const bought = new Map<string, number>();
  for (const { question } of responses) {
    const name = jobNameIn(question);
    bought.set(name, (bought.get(name) ?? 0) + 1);
  }
  const marks = new Map(evidence.jobs.map(({ history, last }) => [history.name, uncertainPurchases(last)]));
  const again = (name: string): number => Math.max(0, (bought.get(name) ?? 0) - 1);
  const isUnmarked = ({ name }: Asked): boolean =>
    again(name) > (marks.get(name) ?? 0) && !isLostAnswer(name);
  const lostAnswers = asked.filter(({ name }) => again(name) > 0 && isLostAnswer(name)).length;
  return [
    ...(strike.unreplicated === undefined
      ? []
      : [figure('bought again, because only the old master had the answer', lostAnswers)]),
    figure(
      'bought twice',
      byModel(asked, ({ name }) => again(name) > 0),
    ),
    {
      ...exactly('bought twice and not marked', 0, asked.filter(isUnmarked).length),
      measured: byModel(asked, isUnmarked),
    },
  ];
}

function darkness({ asked, evidence, responses, strike: { faultAt, backAt } }: Seen): Requirement[] {
  const acceptedAt = asked.flatMap((one) => one.acceptedAt ?? []);
  const completedAt = evidence.jobs.flatMap(({ last }) =>
    last?.status === 'completed' ? Date.parse(last.finished_at) : [],
  );
  const boughtAt = responses.map(({ created_at }) => created_at);
  const rows = Object.entries({ accepted: acceptedAt, bought: boughtAt, completed: completedAt });
  const next = (times: readonly number[], after: number): number =>
    Math.min(...times.filter((at) => at > after)) - after;
  const slowest = Math.max(...rows.map(([, times]) => next(times, backAt)));
  return [
    {
      what: 'from the return of Redis until a job was accepted, bought, completed',
      required: `≤ ${seconds(AT_WORK_LIMIT_MS)}`,
      measured: rows.map(([, times]) => seconds(next(times, backAt))).join(', '),
      met: slowest <= AT_WORK_LIMIT_MS,
    },
    figure(
      'dark: the longest time in which no job was accepted, bought, completed',
      rows.map(([, times]) => seconds(longestGap(times, faultAt))).join(', '),
    ),
  ];
}

/** Returns the longest time between two successive moments, if the second comes after the fault. */
function longestGap(times: readonly number[], faultAt: number): number {
  const sorted = times.toSorted((left, right) => left - right);
  return Math.max(0, ...sorted.map((at, i) => (at > faultAt && i > 0 ? at - (sorted[i - 1] ?? at) : 0)));
}

function callersSaw(asked: readonly Asked[]): string {
  const answers = answersOf(asked);
  const statuses = [...new Set(answers.map(({ status }) => status))].toSorted();
  return statuses
    .map((status) => {
      const took = answers.filter((one) => one.status === status).map(({ tookMs }) => tookMs);
      return `${took.length} × ${status} (median ${percentile(took, 0.5)} ms, longest ${Math.max(...took)} ms)`;
    })
    .join('\n');
}

function answersOf(asked: readonly Asked[]) {
  return asked.flatMap(({ answers }) => answers);
}

/** Returns whether a status is a fault of ours: a 5xx, except for 503, which says that Redis is away. */
function isBroken(status: number | 'none'): boolean {
  return status !== 'none' && status >= 500 && status !== 503;
}

/**
 * Counts the questions for which `isSo` is true, for the background and the foreground model. With `of` it
 * also states how many questions of `of` each model has.
 */
function byModel(asked: readonly Asked[], isSo: (one: Asked) => boolean, of: readonly Asked[] = []): string {
  const count = (model: string): string => {
    const ofModel = (list: readonly Asked[]): Asked[] => list.filter((one) => one.model === model);
    const total = of.length === 0 ? '' : ` of ${ofModel(of).length}`;
    return `${ofModel(asked).filter(isSo).length}${total}`;
  };
  return `${count(BACKGROUND)} in the background, ${count(FOREGROUND)} in the foreground`;
}
