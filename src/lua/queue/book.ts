/** How long a day's spend is kept, in days. */
export const USAGE_KEPT_DAYS = 400;

/**
 * Lua shared by the scripts that end a response: books what it cost, in the very step in which its end is written. So a crash before that leaves
 * nothing booked, and whoever takes over books it. Each response is booked once: the record knows the last one that was, and a command that is sent again
 * after a lost reply, or a second end, books nothing.
 *
 * `booking` is '' (nothing has ended), or the JSON of a list of texts: response ('': the one in the record, if there is one), tenant, input, cached, output,
 * reasoning, nano-dollars ('': unpriced).
 */
export const BOOK_LUA = `
local function book(runKey, usageKey, booking)
  if booking == '' then return end
  local told = cjson.decode(booking)
  local run = redis.call('HMGET', runKey, 'upstream_id', 'booked')
  local response = told[1] ~= '' and told[1] or run[1]
  if not response or response == run[2] then return end
  redis.call('HSET', runKey, 'booked', response)
  local function add(field, amount)
    if amount ~= '0' then redis.call('HINCRBY', usageKey, told[2] .. '\\0' .. field, amount) end
  end
  add('requests', '1')
  for i, field in ipairs({ 'input', 'cached', 'output', 'reasoning' }) do add(field, told[i + 2]) end
  if told[7] == '' then add('unpriced', '1')
  else
    add('nano_usd', told[7])
    redis.call('HINCRBY', runKey, 'cost_nano', told[7])
  end
  redis.call('EXPIRE', usageKey, ${USAGE_KEPT_DAYS * 86_400})
end
`;
