/**
 * Every key of ours and BullMQ's. All keys of one model share the hash tag `{model}`, so that a Redis Cluster keeps them
 * in one slot (our scripts touch several at once) and different models may live on different shards.
 *
 * BullMQ's keys begin with `<prefix>:{model}:`, ours with `<prefix>:<kind>:{model}:`, so that neither can meet the other.
 */
export interface ModelKeys {
  /** BullMQ's name of the model's queue. */
  readonly queueName: string;
  /** BullMQ's hash of a job. */
  job(id: string): string;
  /** BullMQ's lock of an active job: a string, the token of the worker that holds it. */
  lock(id: string): string;
  /** BullMQ's own lists, sets and streams. */
  queue(part: BullmqPart): string;
  /**
   * The line of the jobs that wait for their turn. `tenants`, `stopped`: sorted sets of tenants; `deadlines`: one of job ids by the time after which they need not start any more (ms); `missing`: one of places whose job is not there, by the time at which that was seen first (ms); `clock`, `reasons`, `told`: hashes; `of`: the beginning of the names of the tenants' own
   * lines, sorted sets of job ids; `news`: the channel on which dispatchers hear that there are more.
   */
  line(part: LinePart): string;
  /** The record of a job's run: a hash of ours. */
  run(id: string): string;
  /** The whole response of a completed job: a JSON string of ours, apart from the record because it may be megabytes. */
  response(id: string): string;
  /**
   * What was said in the stream of a job's answer: a Redis stream of ours. Its name is also the channel on which who reads it hears that there is more, or that
   * the job's status has changed.
   */
  journal(id: string): string;
  /** Job ids by time of creation: sorted sets of ours. `all` holds each job, `live` the unfinished ones. */
  index(part: JobIndex): string;
  /** The same of one tenant, whatever their status. */
  tenantIndex(tenant: string): string;
  /** A set of the tenants that have such an index. */
  readonly tenants: string;
  /**
   * Jobs with a webhook whose end has not been told yet, by the time of that end (ms): a sorted set of ours. Its name is also the channel on which workers hear
   * that there is one more; the message is the job's id.
   */
  readonly outbox: string;
  /** The channel on which a worker hears that one of its active jobs is to be cancelled; the message is the job's id. */
  readonly cancelChannel: string;
  /** The channel on which everybody who waits hears that a job has its final status; the message is the job's id. */
  readonly finishedChannel: string;
}

type BullmqPart = 'wait' | 'prioritized' | 'delayed' | 'active' | 'failed' | 'events' | 'meta' | 'marker';
type LinePart =
  | 'tenants'
  | 'clock'
  | 'stopped'
  | 'reasons'
  | 'deadlines'
  | 'missing'
  | 'told'
  | 'of'
  | 'news';
export type JobIndex = 'all' | 'live' | 'completed' | 'failed' | 'cancelled';

export function keysOf(prefix: string, model: string): ModelKeys {
  const queueName = `{${model}}`;
  return {
    queueName,
    job: (id) => `${prefix}:${queueName}:${id}`,
    lock: (id) => `${prefix}:${queueName}:${id}:lock`,
    queue: (part) => `${prefix}:${queueName}:${part}`,
    line: (part) => `${prefix}:line:${queueName}:${part}`,
    run: (id) => `${prefix}:run:${queueName}:${id}`,
    response: (id) => `${prefix}:response:${queueName}:${id}`,
    journal: (id) => `${prefix}:journal:${queueName}:${id}`,
    index: (part) => `${prefix}:index:${queueName}:${part}`,
    tenantIndex: (tenant) => `${prefix}:index:${queueName}:tenant:${tenant}`,
    tenants: `${prefix}:tenants:${queueName}`,
    outbox: `${prefix}:outbox:${queueName}`,
    cancelChannel: `${prefix}:cancel:${queueName}`,
    finishedChannel: `${prefix}:finished:${queueName}`,
  };
}

/** Every index a job may stand in, for whoever takes it out of all of them. */
export function indexesOf(keys: ModelKeys): string[] {
  return (['all', 'live', 'completed', 'failed', 'cancelled'] as const).map((part) => keys.index(part));
}

/**
 * Held for moments, while a job with an idempotency key is put in: the model that it is being put in. In one slot for all models, because
 * they must agree there.
 */
export function claimKey(prefix: string, id: string): string {
  return `${prefix}:claim:{idempotency}:${id}`;
}

/** Where the producers leave what OpenAI's webhooks say, for the workers of all models: in one slot of its own. */
export interface WebhookKeys {
  /** A sorted set of `<webhook id> <response id>` by the time of arrival: what was heard in the last hour. */
  readonly ended: string;
  /** The channel on which workers hear that a response has ended; the message is the response's id. */
  readonly channel: string;
}

export function webhookKeysOf(prefix: string): WebhookKeys {
  return { ended: `${prefix}:{webhooks}:ended`, channel: `${prefix}:{webhooks}` };
}
