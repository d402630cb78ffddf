local record, highest, revoked, users = unpack(KEYS)
local member, generation, channel, slot = unpack(ARGV)

local current = record_in(record)
local ever = generation_in(redis.call('GET', highest))
local ended = generation_in(redis.call('GET', revoked))
if redis.call('EXISTS', users) == 0 then
  return 0
end
forget_ended(users)
local was_there = redis.call('ZREM', users, member) == 1
if not was_there and not less(ended, generation) then
  return 0 -- another has been the last
end
local from = complete_from(users, this_history(), 0, false)
keep_until(users, from - now)
if redis.call('ZCOUNT', users, '(0', '+inf') > 0 or now < from then
  return 0
end
end_up_to(generation, current, record, ever, highest, ended, revoked)
announce(channel, slot)
return 1
