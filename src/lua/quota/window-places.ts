import { defineLibrary } from '../../redis/script.ts';
import { clock } from './clock.ts';

/**
 * windowPlaces is how `quotaReserve` treats responses within a completion window. Such a response takes
 * requests and tokens like any other, but a place of `maxWindowed` in place of a slot in flight. After a
 * refusal of windows only jobs whose own request names a window get one. The other jobs are reserved as
 * ordinary ones.
 *
 * `windows` is '' for none, or has for each job that needs a window
 * `<number of the job>:<window>:<1 when its own request names the window>`, separated by blanks. Without it
 * no command is added.
 */
export const windowPlaces = defineLibrary({
  keys: ['usage'],
  args: ['maxWindowed', 'windows'],
  uses: [clock],
  lua: /* lua */ `
local hasWindows = windows ~= ''

-- Returns the windows that jobs may have, by the number of the job.
local function windowsOfJobs(noWindowsUntil)
  local byJob = {}
  for i, window, isNamed in string.gmatch(windows, '(%d+):(%w+):(%d)') do
    if isNamed == '1' or noWindowsUntil <= now then byJob[tonumber(i)] = window end
  end
  return byJob
end

-- Returns how late the answers within 2 and within 8 hours were at most (ms) and how many there were, and
-- then the window of each of the first \`count\` jobs, '' for none. It is empty when no job needs a window.
local function grantedWindows(byJob, count)
  if not hasWindows then return {} end
  local granted = redis.call('HMGET', usage, 'late_ms:2h', 'n:late_ms:2h', 'late_ms:8h', 'n:late_ms:8h')
  for i = 1, 4 do granted[i] = granted[i] or '0' end
  for i = 1, count do granted[4 + i] = byJob[i] or '' end
  return granted
end
`,
});
