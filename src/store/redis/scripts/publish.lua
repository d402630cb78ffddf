local record, claim, highest, users = unpack(KEYS)
local member, generation, left, lease, sealed, channel, slot = unpack(ARGV)

-- Publishing the same record again succeeds.
local current, kept = record_in(record)
local again = current == generation and kept == sealed
local mine = member .. ' ' .. generation .. ' '
local held = redis.call('GET', claim)
local granted = held and string.sub(held, 1, #mine) == mine
if not again and not granted then
  return 0
end

local ever = generation_in(redis.call('GET', highest))
local history = this_history()
-- The claim is of the present history. So this generation cannot have been published, used and forgotten since.
local is_whole = granted and history and string.sub(held, #mine + 1) == history and redis.call('EXISTS', users) == 0
use(users, member, tonumber(lease), tonumber(left))
if is_whole then
  redis.call('ZADD', users, '0', entry_of_whole(history))
end
redis.call('SET', highest, higher(ever, generation), 'PX', KEPT)
if granted then
  redis.call('DEL', claim)
end
if not again then
  put(record, generation, left, sealed)
  announce(channel, slot)
end
return 1
