/**
 * Lua of the scripts that write a final status: in the same step the job goes into the outbox, so that no crash can end a job and forget to tell. The drain
 * looks closer; here it is enough that the options have such a field, whichever BullMQ client wrote them.
 */
export const OUTBOX_LUA = `
local function putIntoOutbox(outboxKey, jobKey, id, now)
  local options = redis.call('HGET', jobKey, 'opts')
  if not options or not string.find(options, '"webhook":', 1, true) then return end
  redis.call('ZADD', outboxKey, now, id)
  redis.call('PUBLISH', outboxKey, id)
end
`;
