import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import type { AppJob, JobStatus, QueueJobJson } from '@bull-board/api/typings/app';
import { publicId } from '../src/queue/job-view.ts';
import type { ModelQueue } from '../src/queue/model-queue.ts';
import { answerOf, type UpstreamResponse } from '../src/response.ts';
import { boardJobFrom } from './board-job.ts';

/** A list is asked for again every few seconds: a book in a question would be sent each time. */
const LONGEST_TEXT_IN_LIST = 1000;
/** One job's page is read by a person, to the end. */
const LONGEST_TEXT_ON_PAGE = 50_000;

/** A model's queue under the model's name; BullMQ's own name of it has braces, for Redis Cluster. */
export class BoardQueue extends BullMQAdapter {
  readonly #queue: ModelQueue;

  constructor(queue: ModelQueue) {
    const options = {
      // A completed job that ran again would be bought again, and its answer lost.
      allowCompletedRetries: false,
      externalJobUrl: ({ id }: QueueJobJson) => ({
        href: `/jobs/${publicId(queue.model, String(id))}`,
        displayText: 'JSON ↗',
      }),
    };
    super(queue.bullmq, options);
    this.#queue = queue;
  }

  override getName(): string {
    return this.#queue.model;
  }

  /** Without the children of BullMQ's flows, which no job of ours has: its tab would push others out of sight. */
  override getJobStatuses(): JobStatus[] {
    return super.getJobStatuses().filter((status) => status !== 'waiting-children');
  }

  /** A job of a list, in our words. */
  async listed(job: AppJob): Promise<AppJob> {
    const reading = await this.#queue.read(String(job.id));
    return reading === null ? job : boardJobFrom(job, reading.view, { longestText: LONGEST_TEXT_IN_LIST });
  }

  /** A job on its own page, in our words and with its whole answer. */
  async shown(job: AppJob): Promise<AppJob> {
    const id = String(job.id);
    const reading = await this.#queue.read(id);
    if (reading === null) return job;
    const { view } = reading;
    const answer = view.status === 'completed' ? await this.#answer(id) : undefined;
    return boardJobFrom(job, view, { longestText: LONGEST_TEXT_ON_PAGE, answer });
  }

  async #answer(id: string): Promise<string | undefined> {
    const client = await this.getClient();
    const stored = await client?.get(this.#queue.keys.response(id));
    return stored ? answerOf(JSON.parse(stored) as UpstreamResponse) : undefined;
  }
}
