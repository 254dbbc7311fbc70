/**
 * ModelKeys names every Redis key of one model, ours and BullMQ's. All of them share the hash tag `{model}`,
 * so a Redis Cluster keeps them in one slot: our scripts need several of them at once. Different models may
 * be on different shards.
 *
 * BullMQ's keys begin with `<prefix>:{model}:`, ours with `<prefix>:<kind>:{model}:`, so the two can never
 * collide.
 */
export interface ModelKeys {
  /** queueName is BullMQ's name of the model's queue. */
  readonly queueName: string;
  /** job is BullMQ's hash of a job. */
  job(id: string): string;
  /** lock is BullMQ's lock of an active job: a string, the token of the worker that holds the job. */
  lock(id: string): string;
  /** queue is one of BullMQ's own lists, sets and streams. */
  queue(part: BullmqPart): string;
  /**
   * fairQueue is a part of the model's fair queue, in which jobs wait for their turn.
   *
   * - `tenants`: sorted set of tenants with waiting jobs, by virtual time.
   * - `tenant`: beginning of the name of each tenant's own queue, a sorted set of job ids. The queue of alice
   *   is `…:tenant:alice`; jobs without a tenant stand in `…:tenant:`.
   * - `paused`: sorted set of tenants that may not start, by the end of the pause (ms).
   * - `reasons`: hash of the reasons of these pauses, by tenant: `slots_taken`, or a sentence.
   * - `clock`: hash of the virtual time, each tenant's next tag and the number of starts.
   * - `due`: sorted set of the ids of delayed jobs, by the time at which they are due (ms).
   * - `deadlines`: sorted set of job ids by their deadline (ms).
   * - `status`: hash that says why no job starts and how fast jobs start.
   * - `wake`: channel whose messages make dispatchers look at the queue again.
   */
  fairQueue(part: FairQueuePart): string;
  /**
   * workers is a sorted set of the workers that take the model's jobs, by the end of their heartbeat (ms, on
   * the clock of Redis). An entry whose end is past does not count.
   */
  readonly workers: string;
  /** ack is an empty string, written before each wait for the disk or a replica (`O3Q_ACK`). */
  readonly ack: string;
  /**
   * workerDetails is a hash of JSON by worker: its host, process id, version, slots and active jobs, and
   * whether Redis can see its connection. Two more kinds of fields belong to the takeover of jobs:
   *
   * - `resumed_at`: when heartbeats came again after a pause without any (ms).
   * - `taken_from:WORKER`: the entry of `workers` for which the jobs of a silent worker were looked through.
   */
  readonly workerDetails: string;
  /** run is our hash with the record of a job's run. */
  run(id: string): string;
  /**
   * response is our JSON string with the whole response of a completed job. It is not part of the record
   * because it may be megabytes.
   */
  response(id: string): string;
  /**
   * eventLog is our Redis stream of what the upstream streamed for a job. Its name is also the channel that
   * announces new entries and changes of the job's status.
   */
  eventLog(id: string): string;
  /** index is a sorted set of job ids by creation time. `all` holds every job, `live` the unfinished jobs. */
  index(part: JobIndex): string;
  /** tenantIndex is the sorted set of one tenant's jobs, in any status, by creation time. */
  tenantIndex(tenant: string): string;
  /** errorIndex is the sorted set of the jobs that failed with one code, by creation time. */
  errorIndex(code: string): string;
  /** errorCodes is the set of codes that have an errorIndex. */
  readonly errorCodes: string;
  /** metadataIndex is the sorted set of the jobs that have one pair of metadata (`termOf`), by creation time. */
  metadataIndex(term: string): string;
  /** tenants is the set of tenants that have a tenantIndex. */
  readonly tenants: string;
  /** tenantLive is the set of one tenant's jobs that have not ended. */
  tenantLive(tenant: string): string;
  /**
   * tenantStored is a hash of bytes by job: what each job of one tenant keeps in Redis. The field '' has their
   * sum.
   */
  tenantStored(tenant: string): string;
  /**
   * outbox is a sorted set of finished jobs whose webhook is still to be sent, by the time of their end (ms).
   * Its name is also the channel that announces a new entry; the message is the job's id.
   */
  readonly outbox: string;
  /**
   * deletions is a sorted set of responses of deleted jobs that are still to be deleted at the upstream, by
   * the time of the next try (ms). Its name is also the channel that announces new entries.
   */
  readonly deletions: string;
  /**
   * estimates is a hash of JSON by response id: what was booked for a response whose usage the upstream has
   * not reported yet.
   */
  readonly estimates: string;
  /** estimatesDue is a sorted set of the same ids, by the time of the next look-up (ms). */
  readonly estimatesDue: string;
  /**
   * history is a hash of how the model stood on a UTC day (`YYYY-MM-DD`), every five minutes. The field is the
   * time (ms); the value has the jobs that waited, that were active, and that had completed and failed in the
   * five minutes before, separated by spaces.
   */
  history(day: string): string;
  /**
   * bought is a string, the tenant that bought the response with this id of the upstream. It expires soon after
   * the job would.
   */
  bought(responseId: string): string;
  /** actionPart is a hash: how far a long action has come in this model (src/lua/selections/actions.ts). */
  actionPart(actionId: string): string;
  /** cancelChannel tells a worker to cancel one of its active jobs; the message is the job's id. */
  readonly cancelChannel: string;
  /** watchedChannel tells workers that callers read the log of an active job; the message is the job's id. */
  readonly watchedChannel: string;
  /** finishedChannel announces that a job has its final status; the message is the job's id. */
  readonly finishedChannel: string;
  /** scriptKeys are the keys of the model under the names that the scripts of src/lua use. */
  readonly scriptKeys: ModelScriptKeys;
}

type BullmqPart =
  | 'wait'
  | 'prioritized'
  | 'delayed'
  | 'waiting-children'
  | 'active'
  | 'completed'
  | 'stalled'
  | 'failed'
  | 'events'
  | 'meta'
  | 'limiter'
  | 'marker'
  | 'id'
  | 'pc';
type FairQueuePart =
  | 'tenants'
  | 'tenant'
  | 'paused'
  | 'reasons'
  | 'clock'
  | 'due'
  | 'deadlines'
  | 'status'
  | 'wake';
export type JobIndex = 'all' | 'live' | 'completed' | 'failed' | 'cancelled';

/** keysOf returns the keys of `model` under `prefix` (`O3Q_PREFIX`). */
export function keysOf(prefix: string, model: string): ModelKeys {
  const queueName = `{${model}}`;
  const keys: Omit<ModelKeys, 'scriptKeys'> = {
    queueName,
    job: (id) => `${prefix}:${queueName}:${id}`,
    lock: (id) => `${prefix}:${queueName}:${id}:lock`,
    queue: (part) => `${prefix}:${queueName}:${part}`,
    fairQueue: (part) => `${prefix}:fair-queue:${queueName}:${part}`,
    workers: `${prefix}:workers:${queueName}`,
    ack: `${prefix}:ack:${queueName}`,
    workerDetails: `${prefix}:workers:${queueName}:details`,
    run: (id) => `${prefix}:run:${queueName}:${id}`,
    response: (id) => `${prefix}:response:${queueName}:${id}`,
    eventLog: (id) => `${prefix}:event-log:${queueName}:${id}`,
    index: (part) => `${prefix}:index:${queueName}:${part}`,
    tenantIndex: (tenant) => `${prefix}:index:${queueName}:tenant:${tenant}`,
    errorIndex: (code) => `${prefix}:index:${queueName}:error:${code}`,
    errorCodes: `${prefix}:index:${queueName}:errors`,
    metadataIndex: (term) => `${prefix}:index:${queueName}:metadata:${term}`,
    tenants: `${prefix}:tenants:${queueName}`,
    tenantLive: (tenant) => `${prefix}:live:${queueName}:${tenant}`,
    tenantStored: (tenant) => `${prefix}:stored:${queueName}:${tenant}`,
    outbox: `${prefix}:outbox:${queueName}`,
    deletions: `${prefix}:deletions:${queueName}`,
    estimates: `${prefix}:estimates:${queueName}`,
    estimatesDue: `${prefix}:estimates:${queueName}:due`,
    history: (day) => `${prefix}:history:${queueName}:${day}`,
    bought: (responseId) => `${prefix}:bought:${queueName}:${responseId}`,
    actionPart: (actionId) => `${prefix}:action:${queueName}:${actionId}`,
    cancelChannel: `${prefix}:cancel:${queueName}`,
    watchedChannel: `${prefix}:watched:${queueName}`,
    finishedChannel: `${prefix}:finished:${queueName}`,
  };
  // Made once: every script takes some of them, and a job runs a dozen scripts.
  return { ...keys, scriptKeys: scriptKeysOf(keys) };
}

/** indexesOf returns every index that a job may stand in, except its tenant's. */
export function indexesOf(keys: ModelKeys): string[] {
  return (['all', 'live', 'completed', 'failed', 'cancelled'] as const).map((part) => keys.index(part));
}

type ModelScriptKeys = ReturnType<typeof scriptKeysOf>;

function scriptKeysOf(keys: Omit<ModelKeys, 'scriptKeys'>) {
  return {
    wait: keys.queue('wait'),
    prioritized: keys.queue('prioritized'),
    delayed: keys.queue('delayed'),
    waitingChildren: keys.queue('waiting-children'),
    active: keys.queue('active'),
    stalled: keys.queue('stalled'),
    failed: keys.queue('failed'),
    completed: keys.queue('completed'),
    events: keys.queue('events'),
    meta: keys.queue('meta'),
    limiter: keys.queue('limiter'),
    marker: keys.queue('marker'),
    jobCounter: keys.queue('id'),
    priorityCounter: keys.queue('pc'),
    queuedTenants: keys.fairQueue('tenants'),
    tenantQueuePrefix: keys.fairQueue('tenant'),
    pausedTenants: keys.fairQueue('paused'),
    pauseReasons: keys.fairQueue('reasons'),
    clock: keys.fairQueue('clock'),
    due: keys.fairQueue('due'),
    deadlines: keys.fairQueue('deadlines'),
    queueStatus: keys.fairQueue('status'),
    workers: keys.workers,
    indexAll: keys.index('all'),
    indexLive: keys.index('live'),
    indexCompleted: keys.index('completed'),
    indexFailed: keys.index('failed'),
    indexCancelled: keys.index('cancelled'),
    errorIndexPrefix: keys.errorIndex(''),
    errorCodes: keys.errorCodes,
    metadataIndexPrefix: keys.metadataIndex(''),
    tenants: keys.tenants,
    tenantLivePrefix: keys.tenantLive(''),
    tenantStoredPrefix: keys.tenantStored(''),
    outbox: keys.outbox,
    deletions: keys.deletions,
    estimates: keys.estimates,
    estimatesDue: keys.estimatesDue,
  };
}

/**
 * jobScriptKeys returns the keys of a job and of its model under the names that the scripts of src/lua use.
 *
 * @param tenant the job's tenant; '' for none.
 */
export function jobScriptKeys(keys: ModelKeys, id: string, tenant: string) {
  return {
    ...keys.scriptKeys,
    job: keys.job(id),
    lock: keys.lock(id),
    run: keys.run(id),
    response: keys.response(id),
    eventLog: keys.eventLog(id),
    tenantIndex: keys.tenantIndex(tenant),
  };
}
