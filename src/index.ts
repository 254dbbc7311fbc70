// an instance, over HTTP

// the first plan's functions, over HTTP too
export {
  askO3,
  askO3Async,
  cancelO3,
  checkO3Status,
  getO3Result,
  listO3Tasks,
  showO3Progress,
} from './ask-o3.ts';
export { O3Client, type O3ClientOptions } from './client.ts';
export { O3ClientError } from './client-error.ts';

// the queue, straight on Redis
export type { ModelConfig, Models, Retention } from './config-file.ts';
export type { JobError, JobPage, JobResult, JobStatus, JobView, PlanStatus, Usage } from './job.ts';
// what both speak of
export type { JobRequest } from './job-request.ts';
export { QueueError } from './problem.ts';
export { O3Queue, type O3QueueOptions } from './queue/o3-queue.ts';
