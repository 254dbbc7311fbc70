import { QueueError } from '../errors/problem.ts';
import { withoutPrefix } from '../job/ids/response-id.ts';
import type { JobQuery } from '../job/job-queue.ts';
import type { JobPage, JobView } from '../job/view.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { IndexEntry } from './index-sets.ts';
import { lookAt, plain, readViews } from './look.ts';
import { matches, planFor } from './search.ts';

/** How many entries of an index one ZSCAN looks at, which keeps Redis busy for less than a millisecond. */
const SCANNED_AT_ONCE = 2000;
/** With this our own ids begin. A part of an id may leave it out. */
const PREFIX = 'job_';

/**
 * listByPart lists the jobs of a filter whose ids begin or end with a text. Ids are in no order that would
 * help, so Redis walks the index of each model in short steps. The walk ends at a time, and `next_cursor`
 * continues it. It also ends with `limit` jobs.
 *
 * @param stopAt the time at which the walk ends, on the clock of `performance`.
 * @throws {QueueError} `invalid_request` for a cursor that is not of such a list.
 */
export async function listByPart(
  redis: RedisClient,
  queues: ReadonlyMap<string, ModelQueue>,
  { id: part, limit, cursor, ...filter }: JobQuery & { id: string; limit: number },
  stopAt: number,
): Promise<JobPage> {
  const needle = filter.q === undefined ? undefined : plain(filter.q);
  const models = [...queues.keys()].filter((model) => [undefined, model].includes(filter.model));
  const from = cursor === undefined ? undefined : placeFrom(cursor, models);
  const jobs = new Map<string, JobView>();
  let walked = 0;
  const pageTo = (next: string | null): JobPage => ({
    jobs: [...jobs.values()].sort((a, b) => b.created_at.localeCompare(a.created_at)).slice(0, limit),
    next_cursor: next,
    searched: { jobs: walked, back_to: null },
  });
  for (const model of models.slice(from === undefined ? 0 : models.indexOf(from.model))) {
    const queue = queues.get(model);
    if (queue === undefined) continue;
    const plan = await planFor(redis, queue.keys, filter);
    const size = await redis.zcard(plan.walked);
    let place = from?.model === model ? from.place : '0';
    do {
      const [next, entries] = await scan(redis, plan.walked, place, model, part);
      place = next;
      for await (const { found } of lookAt(redis, queues, new Map([[model, plan]]), entries, needle)) {
        for (const { view } of await readViews(queues, found)) {
          // ZSCAN may return an entry twice.
          if (view !== undefined && matches(view, filter)) jobs.set(view.id, view);
        }
      }
      walked += Math.min(SCANNED_AT_ONCE, size);
      if (jobs.size >= limit) return pageTo(null);
      if (performance.now() >= stopAt) {
        const following = place === '0' ? models[models.indexOf(model) + 1] : model;
        return pageTo(following === undefined ? null : cursorOf({ model: following, place }));
      }
    } while (place !== '0');
  }
  return pageTo(null);
}

async function scan(
  redis: RedisClient,
  key: string,
  place: string,
  model: string,
  part: string,
): Promise<[next: string, entries: IndexEntry[]]> {
  const rest = withoutPrefix(part);
  const pattern = `*${rest.replace(/[\\*?[\]^]/g, '\\$&')}*`;
  const [next, flat] = await redis.zscan(key, place, 'MATCH', pattern, 'COUNT', SCANNED_AT_ONCE);
  const entries: IndexEntry[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    const id = flat[i] ?? '';
    if (hasPart(id, part) || (rest !== part && id.startsWith(`${PREFIX}${rest}`)))
      entries.push({ model, id, createdAt: Number(flat[i + 1]) });
  }
  return [next, entries];
}

function hasPart(id: string, part: string): boolean {
  return id.endsWith(part) || id.startsWith(part) || id.startsWith(`${PREFIX}${part}`);
}

/** Place says where a walk goes on: in a model, at a cursor of ZSCAN, which is 0 at the beginning. */
interface Place {
  model: string;
  place: string;
}

function cursorOf({ model, place }: Place): string {
  return Buffer.from(JSON.stringify([model, place])).toString('base64url');
}

function placeFrom(cursor: string, models: readonly string[]): Place {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (Array.isArray(parsed) && parsed.length === 2) {
      const [model, place]: unknown[] = parsed;
      if (typeof model === 'string' && models.includes(model) && /^\d{1,20}$/.test(String(place)))
        return { model, place: String(place) };
    }
  } catch {
    // The cursor is not JSON, and is refused below.
  }
  const message = 'The cursor was expected to be the next_cursor of an earlier page for this part of an id';
  throw new QueueError('invalid_request', message);
}
