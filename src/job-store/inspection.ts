import { type Models, upstreamModelsOf } from '../config/file.ts';
import { type PositionOwner, pauseSentence } from '../fair-queue/eta.ts';
import { DELAYED_SCORE, dueMsOf, WAITING_SCORE } from '../fair-queue/parked.ts';
import { parseExact, stringifyExact } from '../job/exact-json.ts';
import { wholeData } from '../job/fields/compression.ts';
import { publicId } from '../job/ids/response-id.ts';
import { optionsFrom } from '../job/stored-options.ts';
import type { JobView } from '../job/view.ts';
import { iso, readJob } from '../model-queue/job-view.ts';
import { quotaKeysOf, tenantQuotaKeysOf } from '../quota/keys.ts';
import { quotaJobId } from '../quota/quota.ts';
import type { RedisClient } from '../redis/connection.ts';
import { keysOf, type ModelKeys } from '../redis/keys.ts';
import { notFound, splitId } from './find.ts';

/**
 * JobInspection is everything that Redis holds of one job, as it is stored. It is for an operator who must
 * find out why a job makes no progress. All times are ISO 8601. The parts are read one after the other, so a
 * job that changes meanwhile may look inconsistent: inspect it again.
 */
export interface JobInspection {
  id: string;
  model: string;
  tenant: string | null;
  /**
   * The job as the API shows it. `unreadable` says why the job cannot be shown; null: BullMQ has no such job.
   */
  view: JobView | { unreadable: string } | null;
  /** Our hash of the run; empty before the job's first start. */
  run: Record<string, string>;
  /** BullMQ's hash of the job, its data decompressed; empty when BullMQ has no such job. */
  bullmq: Record<string, string>;
  place: Place;
  /** The lock of the worker that holds the job; null: no worker holds the job. */
  lock: { token: string; expires_in_ms: number } | null;
  /** What the job has reserved of each upstream model's quota and of its tenant's limits. */
  reservations: ReservationEntry[];
  event_log: { entries: number; last: LoggedEntry[] };
  /** Each existing key of the job, with its time to live in milliseconds; null: the key does not expire. */
  keys: { key: string; type: string; ttl_ms: number | null }[];
}

/** Place says which of BullMQ's sets hold the job, and where it stands in the fair queue. */
export interface Place {
  /**
   * BullMQ's sets that hold the job. More than one set means that the job moved while it was read, or that
   * its data is damaged.
   */
  bullmq_sets: string[];
  /** When a delayed job is due; null for a job that is not delayed, or is parked in the fair queue. */
  due_at: string | null;
  /**
   * The job's rank among its tenant's jobs in the fair queue; 1 is next; null: it is not in the fair queue.
   */
  tenant_position: number | null;
  /** How many jobs the job's tenant has in the fair queue. */
  tenant_queue_length: number;
  /** Why the job's tenant may not start jobs, and until when; null: the tenant may start jobs. */
  tenant_paused: { until: string; reason: string } | null;
}

export interface ReservationEntry {
  /** Whose quota it belongs to: `upstream model gpt-5` or `tenant alice`. */
  of: string;
  lease_ends_at: string | null;
  /** What is reserved, as quota/keys.ts describes it; for a tenant, the expected cost in nano-dollars. */
  value: string | null;
}

export interface LoggedEntry {
  id: string;
  at: string;
  fields: Record<string, string>;
}

const LAST_ENTRIES = 10;

/**
 * inspectJob reads everything that Redis holds of a job, and changes nothing.
 *
 * @throws {QueueError} `job_not_found` when no configured model has the job.
 */
export async function inspectJob(
  redis: RedisClient,
  prefix: string,
  { models, tenants }: Pick<Models, 'models' | 'tenants'>,
  id: string,
): Promise<JobInspection> {
  const [named, bullId] = splitId(id);
  for (const [model, config] of Object.entries(models)) {
    if (named !== undefined && named !== model) continue;
    const keys = keysOf(prefix, model);
    const found = await keysOfJob(redis, keys, bullId);
    if (found.length === 0) continue;
    const [run, bullmq] = await Promise.all([
      redis.hgetall(keys.run(bullId)),
      redis.hgetall(keys.job(bullId)).then(withWholeData),
    ]);
    const tenant = optionsFrom(parsed(bullmq['opts'])).group?.id ?? null;
    return {
      id: publicId(model, bullId),
      model,
      tenant,
      view: await readJob(bullId, { redis, keys, model, maxAttempts: config.maxAttempts, tenants })
        .then((reading) => reading?.view ?? null)
        .catch((error: unknown) => ({ unreadable: error instanceof Error ? error.message : String(error) })),
      run,
      bullmq,
      place: await placeOf(redis, keys, bullId, {
        tenant: tenant ?? '',
        maxInFlight: tenants[tenant ?? '']?.maxInFlight,
      }),
      lock: await lockOf(redis, keys, bullId),
      reservations: await reservationsOf(redis, prefix, {
        upstreamModels: upstreamModelsOf(config),
        tenant,
        holder: quotaJobId(model, bullId),
      }),
      event_log: await eventLogOf(redis, keys, bullId),
      keys: found,
    };
  }
  throw notFound(id);
}

async function keysOfJob(redis: RedisClient, keys: ModelKeys, id: string): Promise<JobInspection['keys']> {
  const all = [keys.job(id), keys.lock(id), keys.run(id), keys.response(id), keys.eventLog(id)];
  const found = await Promise.all(
    all.map(async (key) => {
      const [type, ttlMs] = await Promise.all([redis.type(key), redis.pttl(key)]);
      return { key, type, ttl_ms: ttlMs < 0 ? null : ttlMs };
    }),
  );
  return found.filter(({ type }) => type !== 'none');
}

async function placeOf(
  redis: RedisClient,
  keys: ModelKeys,
  id: string,
  owner: PositionOwner,
): Promise<Place> {
  const { tenant } = owner;
  const tenantQueue = `${keys.fairQueue('tenant')}:${tenant}`;
  const [wait, active, prioritized, parents, delayed, due, completed, failed] = await Promise.all([
    redis.lpos(keys.queue('wait'), id),
    redis.lpos(keys.queue('active'), id),
    redis.zscore(keys.queue('prioritized'), id),
    redis.zscore(keys.queue('waiting-children'), id),
    redis.zscore(keys.queue('delayed'), id),
    redis.zscore(keys.fairQueue('due'), id),
    redis.zscore(keys.queue('completed'), id),
    redis.zscore(keys.queue('failed'), id),
  ]);
  const [rank, length, pausedUntil, reason] = await Promise.all([
    redis.zrank(tenantQueue, id),
    redis.zcard(tenantQueue),
    redis.zscore(keys.fairQueue('paused'), tenant),
    redis.hget(keys.fairQueue('reasons'), tenant),
  ]);
  const score = Number(delayed ?? 0);
  const isParked = score >= WAITING_SCORE && score < DELAYED_SCORE;
  const dueMs = score >= DELAYED_SCORE && due !== null ? Number(due) : dueMsOf(score);
  const sets: Record<string, unknown> = {
    wait,
    active,
    prioritized,
    'waiting-children': parents,
    'delayed (parked in the fair queue)': isParked ? delayed : null,
    delayed: isParked ? null : delayed,
    completed,
    failed,
  };
  return {
    bullmq_sets: Object.keys(sets).filter((name) => sets[name] !== null),
    due_at: delayed === null || isParked ? null : iso(dueMs),
    tenant_position: rank === null ? null : rank + 1,
    tenant_queue_length: length,
    tenant_paused:
      pausedUntil === null
        ? null
        : { until: iso(Number(pausedUntil)), reason: pauseSentence(reason ?? '', owner) },
  };
}

async function lockOf(redis: RedisClient, keys: ModelKeys, id: string): Promise<JobInspection['lock']> {
  const [token, ttlMs] = await Promise.all([redis.get(keys.lock(id)), redis.pttl(keys.lock(id))]);
  return token === null ? null : { token, expires_in_ms: ttlMs };
}

async function reservationsOf(
  redis: RedisClient,
  prefix: string,
  { upstreamModels, tenant, holder }: { upstreamModels: string[]; tenant: string | null; holder: string },
): Promise<ReservationEntry[]> {
  const sources = upstreamModels.map((upstreamModel) => {
    const { leases, reservations } = quotaKeysOf(prefix, upstreamModel);
    return { of: `upstream model ${upstreamModel}`, leases, values: reservations };
  });
  if (tenant !== null) {
    const { leases, costs } = tenantQuotaKeysOf(prefix, tenant);
    sources.push({ of: `tenant ${tenant}`, leases, values: costs });
  }
  const found = await Promise.all(
    sources.map(async ({ of, leases, values }) => {
      const [end, value] = await Promise.all([redis.zscore(leases, holder), redis.hget(values, holder)]);
      return { of, lease_ends_at: end === null ? null : iso(Number(end)), value };
    }),
  );
  return found.filter(({ lease_ends_at: end, value }) => end !== null || value !== null);
}

async function eventLogOf(
  redis: RedisClient,
  keys: ModelKeys,
  id: string,
): Promise<JobInspection['event_log']> {
  const key = keys.eventLog(id);
  const [entries, newest] = await Promise.all([
    redis.xlen(key),
    redis.xrevrange(key, '+', '-', 'COUNT', LAST_ENTRIES),
  ]);
  return {
    entries,
    last: newest.reverse().map(([entryId, flat]) => ({
      id: entryId,
      at: iso(Number(entryId.split('-')[0])),
      fields: Object.fromEntries(
        Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? '', flat[2 * i + 1] ?? '']),
      ),
    })),
  };
}

async function withWholeData(bullmq: Record<string, string>): Promise<Record<string, string>> {
  const { data } = bullmq;
  const stored = data === undefined ? undefined : parsed(data);
  const whole = await wholeData(stored);
  return whole === stored ? bullmq : { ...bullmq, data: stringifyExact(whole) };
}

function parsed(json: string | undefined): unknown {
  try {
    return parseExact(json ?? '{}');
  } catch {
    return {};
  }
}
