import { defineScript } from '../../redis/script.ts';
import { leaseRenewal, settlement } from './lease.ts';
import { acceptance } from './report.ts';

/**
 * quotaAdvance records how far jobs have come with what they have reserved. One call takes the steps of many
 * jobs, in their order. `steps` has for each step the job's id, and
 *
 * - `reserved`: its create request is not sent yet. Its lease is renewed.
 * - `sending`: its create request is on its way. From here on its reservation counts as spent. A reservation
 *   that was made a while ago is charged to the present step, because the upstream counts it from now on, too;
 * - `running`: its response runs at the upstream. A job without a lease then gets a new one, even beyond the
 *   limits.
 * - `accepted`, with the limits of requests and of tokens that the upstream has advertised, and what is left
 *   of each; '' for unknown.
 * - `ended`, with the job's input and output tokens, how long its response took (ms), each '' for unknown, and
 *   '1' when the response has brought an answer. The usage replaces what was reserved, and the next estimates
 *   learn from it. The charge of an unknown usage stays. An answer closes a circuit breaker that was opened
 *   because accepted responses failed.
 * - `no-windows`: the upstream has refused a completion window. For an hour no other job gets one, unless its
 *   own request names it.
 *
 * `@` and the completion window follow `running` for a response within a window.
 *
 * Returns an answer for each step. The first three are answered how this step has found the reservation:
 * `reserved`, `sent` (like `reserved`, and its create request was sent before) or `expired`. The others are
 * answered 1 when they have ended a pause.
 */
export const quotaAdvance = defineScript({
  name: 'quota.advance',
  uses: [leaseRenewal, acceptance, settlement],
  rest: 'steps',
  lua: /* lua */ `
local NO_WINDOWS_MS = 3600000
local answers, i = {}, 1
while i < #steps do
  local id, phase = steps[i], steps[i + 1]
  i = i + 2
  if phase == 'accepted' or phase == 'ended' then
    local move = phase == 'ended' and settle or accept
    answers[#answers + 1] = move(id, steps[i], steps[i + 1], steps[i + 2], steps[i + 3])
    i = i + 4
  elseif phase == 'no-windows' then
    redis.call('HSET', state, 'no_windows_until', text(now + NO_WINDOWS_MS))
    answers[#answers + 1] = 0
  else answers[#answers + 1] = renewLease(id, phase) end
end
return answers
`,
});
