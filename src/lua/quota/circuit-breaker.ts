import { defineLibrary } from '../../redis/script.ts';

/**
 * circuitBreaker pauses an upstream model: while the field `breaker` of the state holds a reason, the breaker
 * is open, and nothing is sent but one probe at a time.
 *
 * | field | written by | ended by | |---|---|---| | `breaker`, `breaker_words`, `breaker_inside`,
 * `probe_at`, `probe_ms` | the worker whose job was refused | an accepted create, an answer, a person | |
 * `probe_job` | the dispatcher that sends the probe | the report about the probe, or the end of its lease |
 * | `failures`, `failing_jobs` | the worker whose job failed | an accepted create | | `inside_failures`,
 * `inside_failing_jobs` | the worker whose response failed | an answer | | `rate_limited_until`,
 * `throttles`, `throttled_inside` | the worker whose job was throttled | its time; an accepted create, or an
 * answer when it came from inside | | `gone_until` | the worker whose job was refused | its time, an
 * accepted create | | `refusals` (a key of its own) | the worker whose job was refused | its job passes; a
 * day later at the latest |
 *
 * A person ends all of them with `resume`. Each row is written in one step. A worker that dies before it
 * reports leaves nothing, and the next refusal reports. A worker that dies as the holder of the probe leaves
 * `probe_job` until its lease or `probe_at` ends; then another job is the probe.
 */
export const circuitBreaker = defineLibrary({
  keys: ['state'],
  lua: /* lua */ `
-- Returns whether the breaker was open.
local function closeBreaker()
  local wasOpen = redis.call('HDEL', state, 'breaker') == 1
  redis.call('HDEL', state, 'breaker_words', 'breaker_inside', 'probe_at', 'probe_ms', 'probe_job',
    'failures', 'failing_jobs', 'inside_failures', 'inside_failing_jobs')
  return wasOpen
end
`,
});
