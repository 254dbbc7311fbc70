import { defineScript } from '../../redis/script.ts';

/**
 * lookAtJobs looks at jobs of one index without reading them whole: a search rejects most jobs by this look,
 * at a twentieth of the cost of `job.read`.
 *
 * `alsoIn` is JSON: the names of the other indexes in which a job must stand. `ids` are the jobs. Returns for
 * each job four values: whether it stands in all of them (1, or false), its name (false: there is no such
 * job), what was spent on it in billionths of a US dollar (false: nothing is known), and its data (false: not
 * wanted, or of more than `mostOfJob` bytes).
 *
 * `mostOfJob` is 0 if the data is not wanted. The script stops before the job whose data would make its reply
 * larger than `mostInAll` bytes, and then returns the values of the jobs before that one only. The first job
 * always fits, because `mostInAll` is not smaller than `mostOfJob`.
 */
export const lookAtJobs = defineScript({
  name: 'search.look',
  args: ['jobPrefix', 'runPrefix', 'alsoIn', 'mostOfJob', 'mostInAll'],
  rest: 'ids',
  lua: /* lua */ `
local others, answers = cjson.decode(alsoIn), {}
local most, room = tonumber(mostOfJob), tonumber(mostInAll)
for _, id in ipairs(ids) do
  local isIn, data = true, false
  for _, index in ipairs(others) do isIn = isIn and redis.call('ZSCORE', index, id) end
  if isIn and most > 0 then
    local bytes = redis.call('HSTRLEN', jobPrefix .. id, 'data')
    if bytes <= most then
      if bytes > room then break end
      room = room - bytes
      data = redis.call('HGET', jobPrefix .. id, 'data')
    end
  end
  answers[#answers + 1] = isIn and 1 or false
  answers[#answers + 1] = isIn and redis.call('HGET', jobPrefix .. id, 'name')
  answers[#answers + 1] = isIn and redis.call('HGET', runPrefix .. id, 'cost_nano')
  answers[#answers + 1] = data
end
return answers
`,
});
