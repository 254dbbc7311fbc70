import { durationText, latenessText, numberText } from '../../src/client/quantity.ts';
import type { JobView } from '../../src/job/view.ts';
import { formatUsd } from '../../src/usage/usd.ts';
import type { JobState, Retry } from './job-state.ts';
import { Fact, SIGNS, Time } from './parts.tsx';

/** statusWord names a job's status; `cancelling` for an active job that is being cancelled. */
export function statusWord(job: JobView): string {
  return job.status === 'active' && job.cancelling ? 'cancelling' : job.status;
}

/** titleOf is the title of a job's page, which begins with its status. */
export function titleOf(job: JobView): string {
  return `${SIGNS[job.status]} ${statusWord(job)} · ${job.question}`;
}

/** Live is what the parts of a job's page that change need. */
export interface Live {
  readonly state: JobState;
  /** A word about the connection, beside the status. */
  readonly note?: string | undefined;
  /** How old the view of the job is, in milliseconds. Default 0. */
  readonly ageMs?: number;
}

/**
 * LiveJob says how a job stands, and shows what the model writes. Like JobFacts, it changes while the job
 * runs: the server renders both first, and a script of the page renders them again after each event.
 */
export function LiveJob({ state: { job, answer, reasoning }, note }: Live) {
  return (
    <>
      <p class="status" role="status">
        <span class={`badge ${job.status}`}>
          {SIGNS[job.status]} {statusWord(job)}
        </span>{' '}
        {note !== undefined && <span class="quiet">{note}</span>}
      </p>
      <Reason job={job} />
      {reasoning !== '' && (
        <details open={answer === '' && !('finished_at' in job)}>
          <summary>Reasoning, as the model sums it up</summary>
          <div class="text">{reasoning}</div>
        </details>
      )}
      {answer !== '' && (
        <section aria-label="The answer so far">
          <h2>The answer so far</h2>
          <div class="text">{answer}</div>
        </section>
      )}
    </>
  );
}

/** JobFacts shows what a job has used and what has happened to it. */
export function JobFacts({ state: { job, retries }, ageMs = 0 }: Live) {
  return (
    <>
      <dl class="facts">
        <Fact name="Model">{modelText(job)}</Fact>
        <Fact name="Cost">{costText(job)}</Fact>
        <Fact name="Time">{timeText(job, ageMs)}</Fact>
        <Fact name="Needed by">{neededBy(job)}</Fact>
        <Fact name="Completion window">
          {job.needed_by === null && job.completion_window === 'soonest' ? null : job.completion_window}
        </Fact>
        <Fact name="Attempt">
          {job.attempt === 0
            ? `none yet, at most ${job.max_attempts}`
            : `${job.attempt} of ${job.max_attempts}`}
        </Fact>
        <Fact name="Bought">{boughtText(job)}</Fact>
        <Fact name="Tokens">{tokensText(job)}</Fact>
        <Fact name="Tenant">{job.tenant}</Fact>
        <Fact name="Upstream id" isLong>
          {'upstream_id' in job && job.upstream_id !== null && <code>{job.upstream_id}</code>}
        </Fact>
      </dl>
      <Timeline job={job} retries={retries} />
    </>
  );
}

/** Reason says why a job does not run, or why it failed. */
function Reason({ job }: { job: JobView }) {
  switch (job.status) {
    case 'waiting':
      return (
        <p class="reason">
          Waits for {job.waiting_for}
          {job.position !== null && `; it is number ${numberText(job.position)} in the queue`}
          {job.eta_ms !== null && `; the answer is expected in ${durationText(job.eta_ms)}`}
          {job.eta_ms !== null && job.eta_basis !== null && ` (${job.eta_basis})`}.
        </p>
      );
    case 'delayed':
      return (
        <p class="reason">
          Waits for {job.waiting_for}, until <Time of={job.due_at} />.
        </p>
      );
    case 'failed':
      return (
        <p class="reason failed">
          <code>{job.error.code}</code>: {job.error.message}
        </p>
      );
    case 'completed': {
      const { refusal, incomplete_reason: reason, fallback_from: from, upstream_model: model } = job.result;
      return (
        <>
          {refusal !== null && <p class="reason">The model refused: {refusal}</p>}
          {reason !== null && <p class="reason">Incomplete: {reason}</p>}
          {from !== null && (
            <p class="reason">
              Answered by {model}, because the upstream no longer has {from}.
            </p>
          )}
        </>
      );
    }
    default:
      return null;
  }
}

function Timeline({ job, retries }: { job: JobView; retries: readonly Retry[] }) {
  return (
    <ol class="timeline" aria-label="What has happened">
      <li>
        Enqueued <Time of={job.created_at} />
      </li>
      {'started_at' in job && job.started_at !== null && (
        <li>
          Started <Time of={job.started_at} />
        </li>
      )}
      {retries.map(({ attempt, reason }) => (
        <li key={attempt}>
          Attempt {attempt} began: {reason}
        </li>
      ))}
      {'finished_at' in job && (
        <li>
          {job.status === 'completed' ? 'Completed' : job.status === 'failed' ? 'Failed' : 'Cancelled'}{' '}
          <Time of={job.finished_at} />
        </li>
      )}
    </ol>
  );
}

function modelText(job: JobView): string {
  if (job.status !== 'completed' || job.result.upstream_model === job.model) return job.model;
  return `${job.model} (${job.result.upstream_model})`;
}

function costText(job: JobView): string {
  const { simulated, cost_usd: cost, saved_usd: savedUsd, cost_estimated: isEstimated } = job;
  if (simulated && !cost) return 'nothing: the simulator answers';
  if (cost === null) return '';
  const saved = savedUsd ? `, ${formatUsd(savedUsd)} less than the full price` : '';
  return `${formatUsd(cost)}${saved}${isEstimated ? ' (estimated in part)' : ''}`;
}

/** By the clock of the machine that shows the page: an answer is late by minutes, not by seconds. */
function neededBy(job: JobView) {
  if (job.needed_by === null) return null;
  const late = latenessText(job, Date.now());
  return (
    <>
      <Time of={job.needed_by} />
      {late !== '' && `, ${late}`}
    </>
  );
}

function timeText(job: JobView, ageMs: number): string {
  if (!('duration_ms' in job)) return '';
  return durationText(job.duration_ms + (job.status === 'active' ? ageMs : 0));
}

function boughtText({ purchases, uncertain_purchases: uncertain }: JobView): string {
  if (purchases + uncertain === 0) return '';
  const responses = `${numberText(purchases)} ${purchases === 1 ? 'response' : 'responses'}`;
  return uncertain === 0 ? responses : `${responses}, and ${numberText(uncertain)} uncertain`;
}

function tokensText(job: JobView): string {
  const usage = job.status === 'completed' ? job.result.usage : 'usage' in job ? job.usage : null;
  if (usage === null) return '';
  const { input_tokens: input, output_tokens: output, reasoning_tokens: reasoning } = usage;
  return `${numberText(input)} in, ${numberText(output)} out (${numberText(reasoning)} of them reasoning)`;
}
