import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import type {
  AppJob,
  JobCleanStatus,
  JobCounts,
  JobState,
  JobStatus,
  QueueJobJson,
} from '@bull-board/api/typings/app';
import { QueueError } from '../../src/errors/problem.ts';
import type { UnstartedStatus } from '../../src/fair-queue/bullmq-sets.ts';
import { wholeData } from '../../src/job/fields/compression.ts';
import { publicId } from '../../src/job/ids/response-id.ts';
import type { ModelQueue } from '../../src/model-queue/model-queue.ts';
import type { InstanceQueue } from '../../src/queue/instance-queue.ts';
import { answerOf, type UpstreamResponse } from '../../src/responses/response.ts';
import { boardJobFrom } from './board-job.ts';

/**
 * How many characters of a text a list shows. The board reads its lists again every two seconds, so long
 * texts are cut.
 */
const LONGEST_TEXT_IN_LIST = 1000;
/** How many characters of a text the page of one job shows. People read the text there. */
const LONGEST_TEXT_ON_PAGE = 50_000;

/** How many jobs a button of the board processes at the same time. */
const AT_ONCE = 50;

type BullmqJob = NonNullable<Awaited<ReturnType<BullMQAdapter['getJob']>>>;

/**
 * BoardQueue is a model's queue as the board shows it. It has the model's name, because BullMQ's name has
 * braces for Redis Cluster. It has our statuses, because BullMQ keeps a job of the fair queue as delayed
 * until a distant date.
 */
export class BoardQueue extends BullMQAdapter {
  readonly #queue: ModelQueue;
  readonly #jobs: Pick<InstanceQueue, 'cancel' | 'delete' | 'retry'>;

  /**
   * @param jobs carries out the board's buttons, so that waiting callers get a message about the change.
   * @param basePath the path under which browsers reach the instance; see `serveAt`.
   */
  constructor(queue: ModelQueue, jobs: Pick<InstanceQueue, 'cancel' | 'delete' | 'retry'>, basePath: string) {
    const options = {
      // Retrying a completed job would buy it again and lose its answer.
      allowCompletedRetries: false,
      externalJobUrl: ({ id }: QueueJobJson) => ({
        href: `${basePath}/jobs/${publicId(queue.model, String(id))}`,
        displayText: 'JSON ↗',
      }),
    };
    super(queue.bullmq, options);
    this.#queue = queue;
    this.#jobs = jobs;
  }

  override getName(): string {
    return this.#queue.model;
  }

  /**
   * Lists our statuses. BullMQ also has `prioritized` and `waiting-children` (the parents of flows), whose
   * jobs wait like others.
   */
  override getJobStatuses(): JobStatus[] {
    return ['active', 'waiting', 'completed', 'failed', 'delayed'];
  }

  override async getJobCounts(): Promise<JobCounts> {
    const [counts, inLine] = await Promise.all([super.getJobCounts(), this.#queue.bullmqSets.parkedCount()]);
    const { waiting = 0, prioritized = 0, delayed = 0, 'waiting-children': parents = 0 } = counts;
    return {
      ...counts,
      waiting: waiting + prioritized + parents + inLine,
      prioritized: 0,
      'waiting-children': 0,
      delayed: Math.max(0, delayed - inLine),
    };
  }

  override async getJobs(statuses: JobStatus[], start = 0, end = -1): Promise<BullmqJob[]> {
    const lists = await Promise.all(statuses.map((status) => this.#jobsOf(status, start, end)));
    // A job whose status changed between the reads is in two lists.
    const byId = new Map(lists.flat().map((job) => [job.id, job]));
    return [...byId.values()];
  }

  override async getJob(id: string): Promise<BullmqJob | undefined> {
    const job = await super.getJob(id);
    if (job === undefined) return undefined;
    const getState = job.getState.bind(job);
    const promote = job.promote.bind(job);
    const isWaiting = async () => (await this.#queue.read(id))?.view.status === 'waiting';
    return Object.assign(job, {
      getState: async (): Promise<JobState> => ((await isWaiting()) ? 'waiting' : getState()),
      promote: async () => {
        if (await isWaiting()) throw new NothingToPromote();
        return promote();
      },
      remove: () => this.#remove(id),
    });
  }

  override async clean(status: JobCleanStatus, graceTimeMs: number): Promise<void> {
    const createdBefore = Date.now() - graceTimeMs;
    if (status === 'wait') return this.#clear('waiting', createdBefore);
    if (status === 'delayed') return this.#clear('delayed', createdBefore);
    return super.clean(status, graceTimeMs);
  }

  override empty(): Promise<void> {
    return this.#clear('waiting', Date.now());
  }

  override async promoteAll(): Promise<void> {
    await inTurn(await this.#queue.bullmqSets.ids('delayed'), async (id) => {
      // A job that is gone or due by now need not be promoted.
      await (await super.getJob(id))?.promote().catch((error: Error) => {
        if (!/^(Missing key|Job .* is not in the delayed state)/.test(error.message)) throw error;
      });
      return true;
    });
  }

  /**
   * Retries the failed jobs. It skips cancelled jobs: BullMQ has them as failed, but they were stopped on
   * purpose.
   */
  async retryFailed(): Promise<{ retried: number; skipped: number }> {
    const client = await this.getClient();
    const ids = (await client?.zrange(this.#queue.keys.queue('failed'), 0, -1)) ?? [];
    const retried = await inTurn(ids, async (id) => {
      const reading = await this.#queue.read(id);
      if (reading?.view.status !== 'failed') return false;
      await this.#jobs.retry(reading.view.id);
      return true;
    });
    return { retried, skipped: ids.length - retried };
  }

  /** Makes the form in which the board shows a job in a list. */
  async listed(job: AppJob): Promise<AppJob> {
    const reading = await this.#queue.read(String(job.id));
    if (reading === null) return job;
    return boardJobFrom(await withWholeData(job), reading.view, { longestText: LONGEST_TEXT_IN_LIST });
  }

  /** Makes the form in which the board shows a job on its own page, with the whole answer. */
  async shown(job: AppJob): Promise<AppJob> {
    const id = String(job.id);
    const reading = await this.#queue.read(id);
    if (reading === null) return job;
    const { view } = reading;
    const answer = view.status === 'completed' ? await this.#answer(id) : undefined;
    return boardJobFrom(await withWholeData(job), view, { longestText: LONGEST_TEXT_ON_PAGE, answer });
  }

  async #jobsOf(status: JobStatus, start: number, end: number): Promise<BullmqJob[]> {
    if (status !== 'waiting' && status !== 'delayed') return super.getJobs([status], start, end);
    const count = end < 0 ? undefined : end - start + 1;
    const ids = await this.#queue.bullmqSets.ids(status, start, count);
    const jobs = await Promise.all(ids.map((id) => super.getJob(id)));
    return jobs.filter((job) => job !== undefined);
  }

  async #clear(part: UnstartedStatus, createdBefore: number): Promise<void> {
    await inTurn(await this.#queue.bullmqSets.ids(part), async (id) => {
      const view = (await this.#queue.read(id))?.view;
      if (view?.status !== part || Date.parse(view.created_at) >= createdBefore) return false;
      await this.#remove(id);
      return true;
    });
  }

  /**
   * Deletes a job that no worker holds. It cancels the job first, so that waiting callers get a message about
   * it.
   */
  async #remove(id: string): Promise<void> {
    const view = (await this.#queue.read(id))?.view;
    if (view === undefined) return;
    if (view.status === 'waiting' || view.status === 'delayed') await this.#jobs.cancel(view.id);
    await this.#jobs.delete(view.id);
  }

  async #answer(id: string): Promise<string | null | undefined> {
    try {
      const json = await this.#queue.response(id);
      return json === null ? undefined : answerOf(JSON.parse(json.toString()) as UpstreamResponse);
    } catch (error: unknown) {
      if (error instanceof QueueError) return error.message;
      throw error;
    }
  }
}

async function withWholeData(job: AppJob): Promise<AppJob> {
  return { ...job, data: await wholeData(job.data) };
}

/**
 * NothingToPromote refuses to promote a waiting job. Bull Board answers with its status code and shows its
 * message.
 */
class NothingToPromote extends Error {
  readonly statusCode = 400;
  constructor() {
    super('Expected a delayed job, got a waiting one: waiting_for says what it waits for');
  }
}

/**
 * inTurn runs the work for each id, a limited number at a time. It skips a job that has changed meanwhile,
 * which is not a failure.
 *
 * @returns for how many ids the work returned true.
 */
async function inTurn(ids: readonly string[], work: (id: string) => Promise<boolean>): Promise<number> {
  let done = 0;
  for (let i = 0; i < ids.length; i += AT_ONCE) {
    const answers = await Promise.all(
      ids.slice(i, i + AT_ONCE).map((id) =>
        work(id).catch((error: unknown) => {
          if (error instanceof QueueError && error.code !== 'redis_unavailable') return false;
          throw error;
        }),
      ),
    );
    done += answers.filter(Boolean).length;
  }
  return done;
}
