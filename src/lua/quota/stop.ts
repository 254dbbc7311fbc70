import { defineLibrary } from '../../redis/script.ts';

/**
 * quotaStop is the circuit breaker of an upstream model: while the field `stop` of the state holds a reason,
 * nothing is sent but one probe at a time.
 *
 * | field | written by | ended by |
 * |---|---|---|
 * | `stop`, `stop_words`, `stop_inside`, `probe_at`, `probe_ms` | the worker whose job was refused | an accepted create, an answer, a person |
 * | `probe_job` | the dispatcher that sends the probe | the report about the probe, or the end of its lease |
 * | `failures`, `failing_jobs` | the worker whose job failed | an accepted create |
 * | `inside_failures`, `inside_failing_jobs` | the worker whose response failed | an answer |
 * | `rate_limited_until`, `pauses`, `paused_inside` | the worker whose job was throttled | its time; an accepted create, or an answer when it came from inside |
 * | `gone_until` | the worker whose job was refused | its time, an accepted create |
 * | `refusals` (a key of its own) | the worker whose job was refused | its job passes; a day later at the latest |
 *
 * A person ends all of them with `resume`. Each row is written in one step. A worker that dies before it reports
 * leaves nothing, and the next refusal reports. A worker that dies as the holder of the probe leaves
 * `probe_job` until its lease or `probe_at` ends; then another job is the probe.
 */
export const quotaStop = defineLibrary({
  keys: ['state'],
  lua: /* lua */ `
-- Returns whether there was a stop.
local function endStop()
  local wasStopped = redis.call('HDEL', state, 'stop') == 1
  redis.call('HDEL', state, 'stop_words', 'stop_inside', 'probe_at', 'probe_ms', 'probe_job', 'failures',
    'failing_jobs', 'inside_failures', 'inside_failing_jobs')
  return wasStopped
end
`,
});
