import { defineLibrary } from '../../redis/script.ts';

/**
 * clock gives Lua the time of Redis in Unix milliseconds, as the local `now`. All processes share this clock.
 */
export const clock = defineLibrary({
  lua: /* lua */ `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Formats a number of up to 14 digits without an exponent, which tostring would add.
local function text(number) return string.format('%.14g', number) end
`,
});
