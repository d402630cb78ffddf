local record, highest, revoked, users = unpack(KEYS)
local member, generation, left, lease, sealed = unpack(ARGV)

local current, kept, history = record_in(record)
local ever = generation_in(redis.call('GET', highest))
local ended = generation_in(redis.call('GET', revoked))
local is_lost = not current or less(current, generation)
if not less(ended, generation) then
  return { 'revoked' }
end

-- Another record has this generation: the store was flushed, and its clock was set back.
if current == generation and kept ~= sealed then
  return { 'newer', found(record) }
end
use(users, member, tonumber(lease), tonumber(left))
if current and less(generation, current) then
  return { 'newer', found(record) }
end
if is_lost then
  if left == '0' then
    return { 'gone' }
  end
  redis.call('SET', highest, higher(ever, generation), 'PX', KEPT)
  put(record, generation, left, sealed)
elseif left ~= '0' and kept == sealed and history ~= this_history() then
  -- A member that uses the session knows that it was not deleted.
  put(record, generation, digits(redis.call('PTTL', record)), sealed)
end
return { 'current' }
