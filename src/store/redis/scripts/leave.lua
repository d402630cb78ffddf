local record, highest, revoked, users = unpack(KEYS)
local member, generation, channel, slot = unpack(ARGV)

local current = record_in(record)
local ever = generation_in(redis.call('GET', highest))
local ended = generation_in(redis.call('GET', revoked))
if redis.call('ZREM', users, member) == 0 then
  return 0 -- the member has left before, or was forgotten
end
local history = this_history()
local is_whole = history and redis.call('ZSCORE', users, entry_of_whole(history))
if not is_whole or redis.call('ZCOUNT', users, '(0', '+inf') > 0 then
  return 0
end
end_up_to(generation, current, record, ever, highest, ended, revoked)
announce(channel, slot)
return 1
