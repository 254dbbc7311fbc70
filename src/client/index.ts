// `o3-queue/client` is everything of o3-queue that uses HTTP. It loads neither BullMQ nor ioredis nor Express
// nor zod.

export type { O3ClientOptions } from './address.ts';
export {
  askO3,
  askO3Async,
  cancelO3,
  checkO3Status,
  type Err,
  getO3Result,
  listO3Tasks,
  type Ok,
  type ResultOk,
  showO3Progress,
  type TaskStatus,
  type TaskSummary,
} from './ask-o3.ts';
export { O3ClientError } from './client-error.ts';
export { O3Client } from './o3-client.ts';

// The arguments and return values of a JobQueue.

export type { AuditEntry, AuditPage, AuditQuery } from '../audit/audit.ts';
export type { Action, ActionKind, Selection } from '../job/action.ts';
export type { EventsToken, JobEvent } from '../job/event.ts';
export type { JobStatus, PlanStatus } from '../job/job.ts';
export type {
  BulkOptions,
  BulkOutcome,
  CallOptions,
  EnqueueOptions,
  EventOptions,
  JobActions,
  JobFilter,
  JobQuery,
  JobQueue,
  JobQueueError,
  WaitOptions,
} from '../job/job-queue.ts';
export type { BulkRequest, JobRequest } from '../job/request.ts';
export type {
  JobError,
  JobPage,
  JobResult,
  JobView,
  ResultOutcome,
  UncompletedJob,
  Usage,
} from '../job/view.ts';
export type { ModelState, ModelStatus, ModelView, ResumedModel } from '../models/view.ts';
export type { UsageDimension, UsageQuery, UsageReport, UsageRow, UsageSums } from '../usage/report.ts';
