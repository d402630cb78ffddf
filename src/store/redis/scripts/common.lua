-- What the steps share. Generations are decimal strings, because a Lua number is exact up to 2^53 only.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- 48 hours: longer than a session can live.
local KEPT = 172800000

local function digits(number)
  return string.format('%.0f', number)
end

local function generation_in(text)
  if not text then
    return '0'
  end
  if #text > 20 or not (text == '0' or string.find(text, '^[1-9]%d*$')) then
    error('sipher-session: no generation where one should be', 0)
  end
  return text
end

local function less(one, other)
  if #one ~= #other then
    return #one < #other
  end
  return one < other
end

local function higher(one, other)
  return less(one, other) and other or one
end

-- The current record: its generation and what is sealed.
local function record_in(key)
  local value = redis.call('GET', key)
  if not value then
    return nil
  end
  local generation, sealed = string.match(value, '^(%d+):(.*)$')
  if not generation then
    error('sipher-session: no record where one should be', 0)
  end
  return generation_in(generation), sealed
end

local function put(key, generation, left, sealed)
  if left == '0' then
    return redis.call('DEL', key)
  end
  redis.call('SET', key, generation .. ':' .. sealed, 'PX', left)
end

-- The answer to "what is there".
local function found(key)
  local generation, sealed = record_in(key)
  if not generation then
    return { time[1], time[2] }
  end
  return { time[1], time[2], generation, redis.call('PTTL', key), sealed }
end

local function announce(channel, slot)
  redis.call('PUBLISH', channel, slot)
end
