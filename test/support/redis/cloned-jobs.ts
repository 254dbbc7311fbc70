import type { Redis } from 'ioredis';
import { v7 as uuid } from 'uuid';
import type { FinishedJob } from '../../../src/job/view.ts';
import { tenantUse } from '../../../src/lua/storage/tenant-use.ts';
import { usageBooking } from '../../../src/lua/usage.ts';
import { jobScriptKeys, keysOf } from '../../../src/redis/keys.ts';
import { defineScript } from '../../../src/redis/script.ts';
import { usageKey } from '../../../src/usage/keys.ts';
import { NANO_PER_DOLLAR } from '../../../src/usage/usd.ts';
import { utcDay } from '../../../src/usage/utc-day.ts';

/**
 * cloneJobs copies a finished job inside Redis, with everything that is stored for it: its hashes, its
 * answer, its event log, its entries in all indexes, and what its tenant keeps. The queue's own script books
 * what each copy has cost, on the day of its end. `clones` are the id, the time of creation, the question and
 * the data of each.
 */
const cloneJobs = defineScript({
  name: 'test.clone',
  keys: ['indexAll', 'indexCompleted', 'indexFailed', 'indexCancelled', 'completed', 'failed', 'tenantIndex'],
  args: [
    'source',
    'tenant',
    'errorIndex',
    'jobPrefix',
    'runPrefix',
    'responsePrefix',
    'eventLogPrefix',
    'usagePrefix',
  ],
  rest: 'clones',
  uses: [usageBooking, tenantUse],
  lua: /* lua */ `
for i = 1, #clones, 5 do
  local id, at, name, data, day = clones[i], tonumber(clones[i + 1]), clones[i + 2], clones[i + 3], clones[i + 4]
  for _, prefix in ipairs({ jobPrefix, runPrefix, responsePrefix, eventLogPrefix }) do
    redis.call('COPY', prefix .. source, prefix .. id)
  end
  local job = jobPrefix .. id
  run, usage = runPrefix .. id, usagePrefix .. day
  local shift = at - tonumber(redis.call('HGET', job, 'timestamp'))
  for key, fields in pairs({
    [job] = { 'timestamp', 'processedOn', 'finishedOn' },
    [run] = { 'started_at', 'finished_at', 'response_created_at', 'seen_at' },
  }) do
    for _, field in ipairs(fields) do
      local time = redis.call('HGET', key, field)
      if time then redis.call('HSET', key, field, string.format('%.0f', tonumber(time) + shift)) end
    end
  end
  redis.call('HSET', job, 'name', name, 'data', data)
  redis.call('HSET', run, 'upstream_id', 'resp_' .. id)
  redis.call('HDEL', run, 'booked', 'cost_nano')
  bookUsage()
  for _, index in ipairs({ indexAll, indexCompleted, indexFailed, indexCancelled, tenantIndex, errorIndex }) do
    if redis.call('ZSCORE', index, source) then redis.call('ZADD', index, at, id) end
  end
  for _, set in ipairs({ completed, failed }) do
    if redis.call('ZSCORE', set, source) then redis.call('ZADD', set, redis.call('HGET', job, 'finishedOn'), id) end
  end
  countEnded(tenant, id, job, run, redis.call('STRLEN', responsePrefix .. id))
end`,
});

/** Clone is a copy of a finished job: another question, asked at another time. */
export interface Clone {
  readonly question: string;
  /** When it was created, in Unix milliseconds. */
  readonly createdAt: number;
}

/** addClones stores copies of a job that has really run. */
export async function addClones(redis: Redis, source: FinishedJob, clones: readonly Clone[]): Promise<void> {
  const keys = keysOf('o3q', source.model);
  const tenant = source.tenant ?? '';
  await cloneJobs.run(redis, {
    keys: { ...jobScriptKeys(keys, source.id, tenant), usage: '' },
    args: {
      source: source.id,
      tenant,
      errorIndex: source.status === 'failed' ? keys.errorIndex(source.error.code) : '',
      jobPrefix: keys.job(''),
      runPrefix: keys.run(''),
      responsePrefix: keys.response(''),
      eventLogPrefix: keys.eventLog(''),
      usagePrefix: usageKey('o3q', source.model, ''),
      booking: bookingOf(source, tenant),
    },
    rest: clones.flatMap(({ question, createdAt }) => [
      `job_${uuid({ msecs: createdAt }).replaceAll('-', '')}`,
      createdAt,
      question,
      JSON.stringify({ question, stream: true }),
      utcDay(createdAt),
    ]),
  });
}

/** Returns what one copy has used, as the worker hands it to the script. */
function bookingOf(job: FinishedJob, tenant: string): string {
  const usage = job.status === 'completed' ? job.result.usage : job.usage;
  if (usage === null) return '';
  return JSON.stringify({
    ...{ response: '', tenant, estimated: '', saved_nano: '0', look_at: '', usage: JSON.stringify(usage) },
    input: String(usage.input_tokens),
    cached: String(usage.cached_tokens),
    output: String(usage.output_tokens),
    reasoning: String(usage.reasoning_tokens),
    nano_usd: job.cost_usd === null ? '' : String(Math.round(job.cost_usd * NANO_PER_DOLLAR)),
  });
}
