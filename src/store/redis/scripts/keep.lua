local record, highest, revoked, users = unpack(KEYS)
local member, generation, left, lease, sealed = unpack(ARGV)

local current = record_in(record)
local ever = generation_in(redis.call('GET', highest))
local ended = generation_in(redis.call('GET', revoked))
local is_lost = not current or less(current, generation)
if is_lost and not less(ended, generation) then
  return { 'revoked' }
end

use(users, member, this_history(), tonumber(lease), tonumber(left), false)
if current and less(generation, current) then
  return { 'newer', found(record) }
end
if is_lost then
  if left == '0' then
    return { 'gone' }
  end
  redis.call('SET', highest, higher(ever, generation), 'PX', KEPT)
  put(record, generation, left, sealed)
end
return { 'current' }
