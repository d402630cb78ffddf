local record, claim, highest, revoked = unpack(KEYS)
local generation, channel, slot = unpack(ARGV)

local current = record_in(record)
local ever = generation_in(redis.call('GET', highest))
local ended = generation_in(redis.call('GET', revoked))
if less(ended, generation) then
  redis.call('DEL', claim)
end
end_up_to(generation, current, record, ever, highest, ended, revoked)
announce(channel, slot)
return 1
