// An instance, over HTTP.

export { O3ClientError } from './client/client-error.ts';
export {
  type BulkOutcome,
  type CallOptions,
  type EnqueueOptions,
  O3Client,
  type O3ClientOptions,
  type WaitOptions,
} from './client/o3-client.ts';

// The first plan's seven functions, over HTTP too.

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

// The queue, straight on Redis.

export type { ModelConfig, Models, Retention } from './config/file.ts';
export type { EnqueueOutcome } from './enqueue/enqueue-once.ts';
export { QueueError } from './errors/problem.ts';
export type { Caller } from './job/tenant.ts';
export { O3Queue, type O3QueueOptions } from './queue/o3-queue.ts';
export type { TenantQueue } from './queue/tenant-queue.ts';

// What both speak of.

export type { JobEvent } from './job/event.ts';
export type {
  JobError,
  JobPage,
  JobQuery,
  JobResult,
  JobStatus,
  JobView,
  PlanStatus,
  ResultOutcome,
  UncompletedJob,
  Usage,
} from './job/job.ts';
export type { BulkRequest, JobRequest } from './job/request.ts';
export type { ModelState, ModelStatus, ModelView, ResumedModel } from './models/view.ts';
export type { UsageDimension, UsageQuery, UsageReport, UsageRow, UsageSums } from './usage/report.ts';
