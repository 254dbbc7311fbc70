// The client of an instance over HTTP. `o3-queue/client` exports this and the seven functions alone.

export type { O3ClientOptions } from './client/address.ts';
export { O3ClientError } from './client/client-error.ts';
export { O3Client } from './client/o3-client.ts';

// The seven functions of the first plan, which use HTTP too.

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
} from './client/ask-o3.ts';

// The queue for programs that share the Redis of the workers.

export type { ModelConfig, Models, Retention } from './config/file.ts';
export { QueueError } from './errors/problem.ts';
export type { Caller } from './job/tenant.ts';
export type { O3QueueOptions } from './queue/instance-queue.ts';
export { O3Queue } from './queue/o3-queue.ts';

// The arguments and return values of a JobQueue, which O3Client and O3Queue implement.

export type { Action, ActionKind, Selection } from './job/action.ts';
export type { JobEvent } from './job/event.ts';
export type { JobStatus, PlanStatus } from './job/job.ts';
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
} from './job/job-queue.ts';
export type { BulkRequest, JobRequest } from './job/request.ts';
export type {
  JobError,
  JobPage,
  JobResult,
  JobView,
  ResultOutcome,
  UncompletedJob,
  Usage,
} from './job/view.ts';
export type { ModelState, ModelStatus, ModelView, ResumedModel } from './models/view.ts';
export type { Quote, QuotedWindow } from './usage/quote.ts';
export type { UsageDimension, UsageQuery, UsageReport, UsageRow, UsageSums } from './usage/report.ts';
