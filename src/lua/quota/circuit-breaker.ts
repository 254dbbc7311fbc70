import { defineLibrary } from '../../redis/script.ts';

/**
 * circuitBreaker pauses an upstream model: while the field `breaker` of the state holds a reason, the breaker
 * is open, and nothing is sent but one probe at a time.
 *
 * - `breaker`, `breaker_words`, `breaker_inside`, `probe_at`, `probe_ms`: written by the worker whose job was
 *   refused; ended by an accepted create, an answer or a person.
 * - `probe_job`: written by the dispatcher that sends the probe; ended by the report about the probe, or by
 *   the end of its lease.
 * - `failures`, `failing_jobs`: written by the worker whose job failed; ended by an accepted create.
 * - `inside_failures`, `inside_failing_jobs`: written by the worker whose response failed; ended by an
 *   answer.
 * - `rate_limited_until`, `throttles`, `throttled_inside`: written by the worker whose job was throttled;
 *   ended by its time, by an accepted create, or, after a throttled response, by an answer.
 * - `gone_until`: written by the worker whose job was refused; ended by its time or an accepted create.
 * - `refusals` (a separate key): written by the worker whose job was refused; ended when that job passes, or
 *   a day later.
 *
 * A person ends all of them with `resume`. The fields of each line above are written in one step. A worker
 * that dies before it reports leaves nothing, and the next refusal is reported. A worker that dies while its
 * job is the probe leaves `probe_job` until the lease or `probe_at` ends; then another job is the probe.
 */
export const circuitBreaker = defineLibrary({
  keys: ['state'],
  lua: /* lua */ `
local BREAKER_FIELDS = {
  'breaker', 'breaker_inside', 'probe_job', 'breaker_words', 'probe_at', 'probe_ms', 'failures', 'failing_jobs'
}

-- Returns whether the breaker was open. It leaves the failures inside accepted responses: an accepted create
-- says nothing about them.
local function closeBreaker()
  local wasOpen = redis.call('HEXISTS', state, 'breaker') == 1
  redis.call('HDEL', state, unpack(BREAKER_FIELDS))
  return wasOpen
end
`,
});
