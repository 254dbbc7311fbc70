import { JOB_STATUSES } from '../job/job.ts';
import type { JobPage, JobResult, JobView } from '../job/view.ts';
import type { ModelView, ResumedModel } from '../models/view.ts';
import type { UsageReport } from '../usage/report.ts';
import { isRecord } from './client-error.ts';

const STATUSES: ReadonlySet<unknown> = new Set(JOB_STATUSES);

/**
 * What tells an instance from any other server that answers JSON; the rest is the contract between the two.
 */
export function isJobView(value: unknown): value is JobView {
  return isRecord(value) && typeof value['id'] === 'string' && STATUSES.has(value['status']);
}

export function isJobPage(value: unknown): value is JobPage {
  return isRecord(value) && Array.isArray(value['jobs']) && value['jobs'].every(isJobView);
}

export function isJobResult(value: unknown): value is JobResult {
  return isRecord(value) && typeof value['answer'] === 'string' && isRecord(value['response']);
}

export function isUsageReport(value: unknown): value is UsageReport {
  return isRecord(value) && isRecord(value['total']) && Array.isArray(value['rows']);
}

export function isModelViews(value: unknown): value is { models: ModelView[] } {
  return (
    isRecord(value) &&
    Array.isArray(value['models']) &&
    value['models'].every((model: unknown) => isRecord(model) && isRecord(model['state']))
  );
}

export function isResumedModel(value: unknown): value is ResumedModel {
  return isRecord(value) && typeof value['resumed'] === 'boolean' && Array.isArray(value['upstream_models']);
}

/** How an instance writes what became of the jobs of a bulk. */
export type WireOutcome = { status: number; job: JobView } | { status: number; problem: unknown };

/** @param count how many there must be. */
export function isBulkAnswer(value: unknown, count: number): value is { outcomes: WireOutcome[] } {
  return (
    isRecord(value) &&
    Array.isArray(value['outcomes']) &&
    value['outcomes'].length === count &&
    value['outcomes'].every(
      (outcome: unknown) =>
        isRecord(outcome) &&
        typeof outcome['status'] === 'number' &&
        (isJobView(outcome['job']) || isRecord(outcome['problem'])),
    )
  );
}
