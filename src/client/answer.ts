import { JOB_STATUSES, type JobPage, type JobResult, type JobView } from '../job.ts';
import { isRecord } from './client-error.ts';

const STATUSES: ReadonlySet<unknown> = new Set(JOB_STATUSES);

/** What tells an instance from any other server that answers JSON; the rest is the contract between the two. */
export function isJobView(value: unknown): value is JobView {
  return isRecord(value) && typeof value['id'] === 'string' && STATUSES.has(value['status']);
}

export function isJobPage(value: unknown): value is JobPage {
  return isRecord(value) && Array.isArray(value['jobs']) && value['jobs'].every(isJobView);
}

export function isJobResult(value: unknown): value is JobResult {
  return isRecord(value) && typeof value['answer'] === 'string' && isRecord(value['response']);
}
