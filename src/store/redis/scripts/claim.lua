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
-- At least the time: so the generation is higher than those that were granted before everything was forgotten.
granted = higher(granted, digits(now))
-- A generation that is only claimed is remembered with the claim, and until the time alone is above it. What is
-- remembered of publications and revocations keeps its longer end.
local above = tonumber(granted) - now + 1
local kept_for = math.max(redis.call('PTTL', highest), tonumber(lease), math.min(above, KEPT))
redis.call('SET', highest, granted, 'PX', digits(kept_for))
redis.call('SET', claim, member .. ' ' .. granted .. ' ' .. (this_history() or ''), 'PX', lease)
return { 'granted', granted, time[1], time[2] }
