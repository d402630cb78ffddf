local record, claim, highest, revoked = unpack(KEYS)
local member, after, lease = unpack(ARGV)

local generation = record_in(record)
if generation and less(after, generation) then
  return { 'published', found(record) }
end

local held = redis.call('GET', claim)
if held and string.sub(held, 1, #member) ~= member then
  return { 'held', redis.call('PTTL', claim) }
end

local ever = higher(generation_in(redis.call('GET', highest)), generation_in(redis.call('GET', revoked)))
local granted = successor(higher(ever, after))
-- Never below the time: what was granted before everything was forgotten is lower all the same.
granted = higher(granted, digits(now))
-- What is merely claimed is kept for as long as the claim, and until the time alone is above it. What was published or
-- revoked before keeps its end.
local above = tonumber(granted) - now + 1
local kept_for = math.max(redis.call('PTTL', highest), tonumber(lease), math.min(above, KEPT))
redis.call('SET', highest, granted, 'PX', digits(kept_for))
redis.call('SET', claim, member .. ' ' .. granted .. ' ' .. (this_history() or ''), 'PX', lease)
return { 'granted', granted, time[1], time[2] }
