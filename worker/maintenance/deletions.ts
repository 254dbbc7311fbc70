import { type Failure, isFailure, RetryableError } from '../../src/errors/failure.ts';
import type { UpstreamHeaders } from '../../src/job/fields/upstream-headers.ts';
import { takeDeletions } from '../../src/lua/deletions.ts';
import type { ModelQueue } from '../../src/model-queue/model-queue.ts';
import type { Logger } from '../../src/process/log.ts';
import type { RedisClient } from '../../src/redis/connection.ts';
import { serverTime } from '../../src/redis/server-time.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Upstream } from '../upstream/client.ts';

export interface DeletionsOptions {
  redis: RedisClient;
  upstream: Upstream;
  metrics: Pick<Metrics, 'deletion'>;
  logger: Logger;
}

const SECOND_MS = 1000;
const HOUR_MS = 3_600_000;
/** How many responses are deleted at once. Each needs a connection to the upstream. */
const AT_ONCE = 16;
/**
 * How long a worker may take for a deletion, in milliseconds. A try takes less, even with the cancel of a
 * running response.
 */
const LENT_MS = 60 * SECOND_MS;
/**
 * The first pause between two tries, in milliseconds. Each pause is as long as the deletion has been tried so
 * far, so the pauses double.
 */
const FIRST_PAUSE_MS = 5 * SECOND_MS;
const LONGEST_PAUSE_MS = HOUR_MS;
/**
 * After this time, in milliseconds, a deletion is given up. The time is longer than most outages, and much
 * shorter than the 30 days for which OpenAI keeps a response anyway.
 */
const GIVE_UP_MS = 24 * HOUR_MS;

/** Deletion is a response of a deleted job that is still to be deleted at the upstream. */
interface Deletion {
  /** The member of the sorted set of deletions. */
  member: string;
  responseId: string;
  /** When the deletion was requested, in Unix milliseconds. */
  since: number;
  headers: UpstreamHeaders;
}

/**
 * drainDeletions carries out a model's due deletions at the upstream. Any number of workers may run it at the
 * same time. docs/ARCHITECTURE.md says what a crash between any two lines leaves.
 */
export async function drainDeletions(queue: ModelQueue, options: DeletionsOptions): Promise<void> {
  for (;;) {
    const now = serverTime(options.redis);
    const members = (await takeDeletions.run(options.redis, {
      keys: { deletions: queue.keys.deletions },
      args: { now, lentUntil: now + LENT_MS, most: AT_ONCE },
    })) as string[];
    await Promise.all(members.map((member) => tryDeletion(deletionFrom(member), queue, options)));
    if (members.length < AT_ONCE) return;
  }
}

function deletionFrom(member: string): Deletion {
  const [responseId, since, headers] = JSON.parse(member) as [string, string, string];
  return { member, responseId, since: Number(since), headers: JSON.parse(headers) as UpstreamHeaders };
}

async function tryDeletion(
  deletion: Deletion,
  { model, keys }: ModelQueue,
  { redis, upstream: shared, metrics, logger }: DeletionsOptions,
): Promise<void> {
  const { member, responseId, since, headers } = deletion;
  const upstream = shared.withHeaders(headers);
  try {
    metrics.deletion((await upstream.delete(responseId)) ? 'deleted' : 'missing');
    await redis.zrem(keys.deletions, member);
  } catch (error: unknown) {
    if (!isFailure(error)) throw error;
    const triedForMs = serverTime(redis) - since;
    if (triedForMs > GIVE_UP_MS) {
      // Only the worker that removes the deletion logs it.
      if ((await redis.zrem(keys.deletions, member)) === 0) return;
      metrics.deletion('given_up');
      logger.warn(
        { model, response: responseId, why: error.message },
        'giving up on deleting a response at the upstream',
      );
      return;
    }
    metrics.deletion('failed');
    // OpenAI deletes no running response. The job's cancel did not reach the upstream, so the cancel is sent
    // again.
    if (error.refusal?.status === 400 || error.refusal?.status === 409) await upstream.cancel(responseId);
    // A deletion that another worker has removed is not added again.
    await redis.zadd(keys.deletions, 'XX', serverTime(redis) + pauseMs(triedForMs, error), member);
  }
}

function pauseMs(triedForMs: number, failure: Failure): number {
  const ownMs = Math.min(Math.max(triedForMs, FIRST_PAUSE_MS), LONGEST_PAUSE_MS);
  return Math.max(ownMs, failure instanceof RetryableError ? (failure.retryAfterMs ?? 0) : 0);
}
