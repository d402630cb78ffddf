local record, highest, revoked, users = unpack(KEYS)
local member, generation = unpack(ARGV)

local current = record_in(record)
local ever = generation_in(redis.call('GET', highest))
local ended = generation_in(redis.call('GET', revoked))
if redis.call('EXISTS', users) == 0 then
  return 0
end
redis.call('ZREM', users, member)
forget_ended(users)
local from = complete_from(users, this_history(), 0, false)
keep_until(users, from - now)
if redis.call('ZCOUNT', users, '(0', '+inf') > 0 or now < from then
  return 0
end
end_up_to(generation, current, record, ever, highest, ended, revoked)
return 1
