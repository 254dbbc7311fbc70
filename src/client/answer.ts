import type { AuditPage } from '../audit/audit.ts';
import type { Action, Selection } from '../job/action.ts';
import type { EventsToken } from '../job/event.ts';
import { isJsonObject } from '../job/exact-json.ts';
import { JOB_STATUSES } from '../job/job.ts';
import type { JobPage, JobResult, JobView } from '../job/view.ts';
import type { ModelView, ResumedModel } from '../models/view.ts';
import type { Quote } from '../usage/quote.ts';
import type { UsageReport } from '../usage/report.ts';
import { unexpectedResponse } from './client-error.ts';

const STATUSES: ReadonlySet<unknown> = new Set(JOB_STATUSES);

/** Expected is a kind of body: how it is recognised, and its name in an error. */
export type Expected<Body> = readonly [isExpected: (body: unknown) => body is Body, name: string];

/**
 * checkedBody returns the body of an answer if it is of the expected kind.
 * @param url the instance. @throws {O3ClientError} `unexpected_response`
 */
export function checkedBody<Body>(
  url: string,
  { body, status }: { body: unknown; status: number },
  [isExpected, name]: Expected<Body>,
): Body {
  if (isExpected(body)) return body;
  throw unexpectedResponse(url, status, `something that is not ${name}`);
}

/** JOB expects the view of a job. */
export const JOB: Expected<JobView> = [isJobView, 'a job'];

/**
 * These checks distinguish an instance from another server that answers JSON. They do not check every field:
 * the schemas of job/view.ts need zod, which the client does not load.
 */
export function isJobView(value: unknown): value is JobView {
  return isJsonObject(value) && typeof value['id'] === 'string' && STATUSES.has(value['status']);
}

export function isJobPage(value: unknown): value is JobPage {
  return isJsonObject(value) && Array.isArray(value['jobs']) && value['jobs'].every(isJobView);
}

export function isSelection(value: unknown): value is Selection {
  return isJsonObject(value) && typeof value['matching'] === 'number';
}

export function isAction(value: unknown): value is Action {
  return isJsonObject(value) && typeof value['id'] === 'string' && isJsonObject(value['skipped']);
}

export function isEventsToken(value: unknown): value is EventsToken {
  return isJsonObject(value) && typeof value['events_url'] === 'string' && value['token'] !== undefined;
}

export function isJobResult(value: unknown): value is JobResult {
  return (
    isJsonObject(value) &&
    (typeof value['answer'] === 'string' || value['answer'] === null) &&
    isJsonObject(value['response'])
  );
}

export function isUsageReport(value: unknown): value is UsageReport {
  return isJsonObject(value) && isJsonObject(value['total']) && Array.isArray(value['rows']);
}

export function isQuote(value: unknown): value is Quote {
  return isJsonObject(value) && Array.isArray(value['windows']) && typeof value['input_basis'] === 'string';
}

export function isAuditPage(value: unknown): value is AuditPage {
  return isJsonObject(value) && Array.isArray(value['entries']) && value['next_cursor'] !== undefined;
}

export function isModelViews(value: unknown): value is { models: ModelView[] } {
  return (
    isJsonObject(value) &&
    Array.isArray(value['models']) &&
    value['models'].every((model: unknown) => isJsonObject(model) && isJsonObject(model['state']))
  );
}

export function isResumedModel(value: unknown): value is ResumedModel {
  return (
    isJsonObject(value) &&
    typeof value['resumed'] === 'boolean' &&
    [value['upstream_models'], value['ended_on_board']].every(Array.isArray)
  );
}

/** WireOutcome is an outcome of a bulk as an instance writes it. */
export type WireOutcome = { status: number; job: JobView } | { status: number; problem: unknown };

/** @param count the number of requests that were sent. */
export function isBulkAnswer(value: unknown, count: number): value is { outcomes: WireOutcome[] } {
  return (
    isJsonObject(value) &&
    Array.isArray(value['outcomes']) &&
    value['outcomes'].length === count &&
    value['outcomes'].every(
      (outcome: unknown) =>
        isJsonObject(outcome) &&
        typeof outcome['status'] === 'number' &&
        (isJobView(outcome['job']) || isJsonObject(outcome['problem'])),
    )
  );
}
