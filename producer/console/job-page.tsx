import type { VNode } from 'preact';
import { jobEvents } from '../../src/events/watch.ts';
import { parseExact, stringifyExact } from '../../src/job/exact-json.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import type { JobView } from '../../src/job/view.ts';
import type { JobDetail } from '../../src/job-store/result.ts';
import type { TenantQueue } from '../../src/queue/tenant-queue.ts';
import { answerOf } from '../../src/responses/response.ts';
import type { DeliveryQueue } from '../../src/webhooks/deliveries.ts';
import { DataScript, type Document, SafeHtml, Section } from './document.tsx';
import { afterEvent, type JobState, stateOf } from './job-state.ts';
import { Metadata } from './jobs/metadata.tsx';
import { JobFacts, LiveJob, titleOf } from './live-job.tsx';
import { markdownFrom } from './markdown.ts';
import type { Visitor } from './navigation.tsx';
import { Form, Link } from './parts.tsx';
import { Acts } from './reports/job-acts.tsx';
import { Webhook, webhookOf } from './webhook.tsx';

/** How long the server reads the events of a job for its page, in milliseconds. */
const READING_MS = { finished: 1000, unfinished: 150 };
/** The most characters of a text on a page. The whole text is behind a link. */
const LONGEST = 500_000;

export interface JobPageOptions {
  readonly visitor: Visitor;
  /** The configured models, for asking again. */
  readonly models: readonly string[];
  /** Whether the answer is shown as it came, and not as Markdown. */
  readonly isPlain: boolean;
  /** The webhooks of this instance; undefined: it sends none. */
  readonly deliveries: DeliveryQueue | undefined;
}

/**
 * jobPage makes the page of one job.
 *
 * @throws {QueueError} `job_not_found`
 */
export async function jobPage(
  queue: TenantQueue,
  id: string,
  { visitor, models, isPlain, deliveries }: JobPageOptions,
): Promise<Document> {
  const detail = await queue.inspect(id);
  const [state, webhook] = await Promise.all([readState(queue, detail.job), webhookOf(deliveries, detail)]);
  const { job } = state;
  const isOver = isFinishedJob(job);
  return {
    title: titleOf(job),
    visitor,
    scripts: ['producer/console/browser/job-page.js'],
    ...(!isOver && { reloadS: 5 }),
    main: (
      <>
        <h1>{job.question}</h1>
        <p class="quiet">
          <code>{job.id}</code>
        </p>
        <Metadata job={job} />
        <div id="live">
          <LiveJob state={state} />
        </div>
        <Answer detail={detail} isPlain={isPlain} />
        <Actions job={job} models={models} />
        <div id="facts">
          <JobFacts state={state} />
        </div>
        <Webhook webhook={webhook} />
        <Acts acts={detail.acts} />
        <Asked detail={detail} />
        <DataScript id="state" data={state} />
      </>
    ),
  };
}

/** Reads what the events of a job have told so far, for a limited time. */
async function readState(queue: TenantQueue, job: JobView): Promise<JobState> {
  let state = stateOf(job);
  const signal = AbortSignal.timeout(isFinishedJob(job) ? READING_MS.finished : READING_MS.unfinished);
  for await (const event of jobEvents(await queue.watch(job.id, { after: 0, signal }))) {
    state = afterEvent(state, event);
  }
  return isFinishedJob(state.job)
    ? { ...state, answer: job.status === 'completed' ? '' : state.answer }
    : state;
}

function Answer({ detail: { job, response }, isPlain }: { detail: JobDetail; isPlain: boolean }) {
  if (response === undefined) return null;
  const answer = answerOf(response) ?? '';
  const path = `/jobs/${encodeURIComponent(job.id)}/result`;
  const html = isPlain ? undefined : markdownFrom(answer);
  const aside = (
    <span>
      {html === undefined ? <a href="?">As Markdown</a> : <a href="?view=plain">As plain text</a>}
      {' · '}
      <Link to={path}>As JSON</Link>
    </span>
  );
  return (
    <Section title="Answer" aside={aside}>
      {answer === '' ? (
        <p class="quiet">There is no text in this answer.</p>
      ) : html === undefined ? (
        <div class="text">{cut(answer)}</div>
      ) : (
        <SafeHtml class="markdown" html={html} />
      )}
    </Section>
  );
}

function Actions({ job, models }: { job: JobView; models: readonly string[] }): VNode {
  const path = pagePathOf(job.id);
  const isOver = isFinishedJob(job);
  return (
    <div class="actions">
      {!isOver && (
        <Form method="post" to={`${path}/cancel`}>
          <button class="danger" type="submit">
            Cancel
          </button>
        </Form>
      )}
      {(job.status === 'failed' || job.status === 'cancelled') && (
        <Form method="post" to={`${path}/retry`}>
          <button type="submit">Retry</button>
        </Form>
      )}
      <details>
        <summary>Ask again…</summary>
        <Form method="post" to={`${path}/ask-again`}>
          <label>
            Model{' '}
            <select name="model">
              {models.map((model) => (
                <option key={model} selected={model === job.model}>
                  {model}
                </option>
              ))}
            </select>
          </label>{' '}
          <button type="submit">Ask as a new job</button>
        </Form>
      </details>
      {isOver && (
        <details>
          <summary>Delete…</summary>
          <Form method="post" to={`${path}/delete`}>
            <button class="danger" type="submit">
              Delete this job and its answer
            </button>
          </Form>
        </details>
      )}
    </div>
  );
}

function Asked({ detail: { job, request, refusal } }: { detail: JobDetail }) {
  return (
    <>
      {refusal !== undefined && (
        <Section title="The upstream's own words">
          <pre>{cut(pretty(refusal))}</pre>
        </Section>
      )}
      <Section
        title="Request"
        aside={<Link to={`/jobs/${encodeURIComponent(job.id)}`}>The job as JSON</Link>}
      >
        <Question input={request['input']} />
        <details>
          <summary>The whole request</summary>
          <pre>{cut(pretty(request))}</pre>
        </details>
      </Section>
    </>
  );
}

/** Question shows a request that is one text; any other request is shown as JSON only. */
function Question({ input }: { input: unknown }) {
  return typeof input === 'string' ? <div class="text">{cut(input)}</div> : null;
}

/** pagePathOf is the address of a job's page. */
export function pagePathOf(id: string): string {
  return `/console/jobs/${encodeURIComponent(id)}`;
}

/** Writes a value as JSON with one field a line, and keeps numbers that JavaScript would change. */
function pretty(value: unknown): string {
  const text = stringifyExact(value);
  return JSON.stringify(parseExact(text), null, 2);
}

function cut(text: string): string {
  return text.length <= LONGEST
    ? text
    : `${text.slice(0, LONGEST)}… (${text.length - LONGEST} characters more)`;
}
