import { countText, durationText, numberText } from '../../../src/client/quantity.ts';
import type { JobStatus } from '../../../src/job/job.ts';
import type { ModelStatus } from '../../../src/models/view.ts';
import { formatUsd } from '../../../src/usage/usd.ts';
import { Fact, Form, Link, SIGNS, Time } from '../parts.tsx';
import type { JobLine, ModelNow, NowState, Today } from './now-state.ts';
import { Sparks } from './spark.tsx';

/** The sign, the words and the class of a model's status. Sign and words say it without the colour. */
const STATUSES: Record<ModelStatus, readonly [sign: string, words: string, name: string]> = {
  open: ['●', 'open', 'completed'],
  rate_limited: ['◷', 'rate limited', 'delayed'],
  limited: ['◷', 'limited', 'delayed'],
  paused: ['✕', 'paused', 'failed'],
  down: ['✕', 'down', 'failed'],
  gone: ['✕', 'gone', 'failed'],
  no_worker: ['✕', 'no worker', 'failed'],
};

/** nowTitle is the title of the page, which begins with what is wrong. */
export function nowTitle({ models }: NowState): string {
  const wrong = models.filter(({ status }) => status !== 'open');
  const waiting = models.reduce((sum, model) => sum + model.waiting, 0);
  const state =
    wrong.length === 0
      ? '● all models are open'
      : wrong.map(({ model, status }) => `${STATUSES[status][0]} ${model} ${STATUSES[status][1]}`).join(', ');
  return `${state} · ${numberText(waiting)} waiting`;
}

/**
 * LiveNow says how each model stands, what today has cost, and which jobs are new. The server renders it
 * first, and a script of the page renders it again with each new state.
 */
export function LiveNow({ state, note }: { state: NowState; note?: string | undefined }) {
  return (
    <>
      <p class="quiet" role="status">
        Today (UTC): {todayText(state.today)}. {note ?? ''}
      </p>
      <div class="cards">
        {state.models.map((model) => (
          <Model key={model.model} model={model} at={state.at} />
        ))}
      </div>
      <Jobs title="Running" jobs={state.running} path="/console/jobs?status=active" all="All that run" />
      <Jobs title="The newest jobs" jobs={state.jobs} path="/console/jobs" all="All jobs" />
      {state.jobs.length === 0 && <p class="quiet">No jobs yet.</p>}
    </>
  );
}

function Model({ model, at }: { model: ModelNow; at: string }) {
  const [sign, words, name] = STATUSES[model.status];
  const { instance, oldest_at: oldest } = model;
  return (
    <section class="card" aria-label={model.model}>
      <div class="head">
        <h2>{model.model}</h2>
        <span class={`badge ${name}`}>
          {sign} {words}
        </span>
      </div>
      {model.reason !== null && (
        <p class={`reason ${name}`}>
          {model.reason}
          {model.until !== null && (
            <>
              {' '}
              (<Time of={model.until} />)
            </>
          )}
        </p>
      )}
      <dl class="facts">
        <Fact name="Waiting">
          <JobCount count={model.waiting} status="waiting" model={model.model} />
          {model.runnable < model.waiting && ` (${numberText(model.runnable)} runnable)`}
        </Fact>
        {model.active === null ? (
          <Fact name="Unfinished">{numberText(model.unfinished)}</Fact>
        ) : (
          <Fact name="Active">
            <JobCount count={model.active} status="active" model={model.model} />
          </Fact>
        )}
        {oldest !== null && (
          <Fact name={instance === null ? 'Next has waited' : 'Oldest unfinished'}>
            {durationText(Date.parse(at) - Date.parse(oldest))}
          </Fact>
        )}
        {instance !== null && (
          <>
            <Fact name="In flight upstream">{numberText(instance.in_flight)}</Fact>
            <Fact name="Workers">{numberText(instance.workers)}</Fact>
            <Fact name="Requests, last minute">
              {ofLimit(instance.requests_last_minute, instance.requests_per_minute)}
            </Fact>
            <Fact name="Tokens, last minute">
              {ofLimit(instance.tokens_last_minute, instance.tokens_per_minute)}
            </Fact>
          </>
        )}
        <Fact name="Today">{todayText(model.today)}</Fact>
      </dl>
      {instance !== null && <Sparks samples={instance.history} until={at} />}
      {instance !== null && model.status !== 'open' && model.status !== 'no_worker' && (
        <Form method="post" to={`/console/models/${encodeURIComponent(model.model)}/resume`}>
          <button type="submit">Resume {model.model} now</button>
        </Form>
      )}
    </section>
  );
}

/** JobCount is a number of jobs that leads to them. */
function JobCount({ count, status, model }: { count: number; status: JobStatus; model: string }) {
  if (count === 0) return <>0</>;
  const query = `status=${status}&model=${encodeURIComponent(model)}`;
  return (
    <Link to={`/console/jobs?${query}`} aria-label={`${countText(count, 'job')} ${status} of ${model}`}>
      {numberText(count)}
    </Link>
  );
}

function Jobs({
  title,
  jobs,
  path,
  all,
}: {
  title: string;
  jobs: readonly JobLine[];
  /** The page with all such jobs, and the text of its link. */
  path: string;
  all: string;
}) {
  if (jobs.length === 0) return null;
  const isMixed = jobs.some(({ tenant }) => tenant !== jobs[0]?.tenant);
  return (
    <section aria-label={title}>
      <div class="head">
        <h2>{title}</h2>
        <Link to={path}>{all}</Link>
      </div>
      <table class="list">
        <thead>
          <tr>
            <th scope="col">Status</th>
            <th scope="col">Question</th>
            <th scope="col">Model</th>
            {isMixed && <th scope="col">Tenant</th>}
            <th scope="col">Created</th>
          </tr>
        </thead>
        <tbody>
          {jobs.map((job) => (
            <tr key={job.id}>
              <td class={job.status}>
                {SIGNS[job.status]} {job.status}
              </td>
              <td class="wide">
                <Link to={`/console/jobs/${encodeURIComponent(job.id)}`}>
                  {job.question || '(no question)'}
                </Link>
              </td>
              <td>{job.model}</td>
              {isMixed && <td>{job.tenant}</td>}
              <td>
                <Time of={job.created_at} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function todayText({ requests, cost_usd: cost }: Today): string {
  return `${countText(requests, 'response')}, ${cost === null ? 'cost unknown' : formatUsd(cost)}`;
}

function ofLimit(used: number, limit: number | null): string {
  return limit === null ? numberText(used) : `${numberText(used)} of ${numberText(limit)}`;
}
