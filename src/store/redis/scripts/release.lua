local claim = KEYS[1]
local member, generation, pause, channel, slot = unpack(ARGV)

local mine = member .. ' ' .. generation .. ' '
local held = redis.call('GET', claim)
if held and string.sub(held, 1, #mine) == mine then
  if pause == '0' then
    redis.call('DEL', claim)
  else
    redis.call('SET', claim, '-', 'PX', pause) -- no member holds it
  end
  announce(channel, slot)
end
return 1
