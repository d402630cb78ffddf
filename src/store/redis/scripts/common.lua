-- Functions that the steps share. Generations are decimal strings, because a Lua number is exact only up to 2^53.

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

-- Returns a hash that changes whenever writes may have been lost: when a server starts, and when a replica takes over.
-- A former master that takes over again has its old `run_id`, but a new `master_replid`.
local function this_history()
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local replication = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  if run or replication then
    return redis.sha1hex((run or '') .. ' ' .. (replication or ''))
  end
  return nil -- a server that does not say is not trusted
end

-- Returns the current record: its generation, the encrypted session, and the history of writes that it belongs to.
local function record_in(key)
  local value = redis.call('GET', key)
  if not value then
    return nil
  end
  local generation, history, sealed = string.match(value, '^(%d+):(%x*):(.*)$')
  if not generation then
    error('sipher-session: no record where one should be', 0)
  end
  return generation_in(generation), sealed, history
end

local function put(key, generation, left, sealed)
  if left == '0' then
    return redis.call('DEL', key)
  end
  redis.call('SET', key, generation .. ':' .. (this_history() or '') .. ':' .. sealed, 'PX', left)
end

-- Returns what the slot contains. A record of another history may have been deleted since, and the delete forgotten.
local function found(key)
  local generation, sealed, history = record_in(key)
  if not generation then
    return { time[1], time[2] }
  end
  local is_certain = history == this_history() and 1 or 0
  return { time[1], time[2], generation, redis.call('PTTL', key), sealed, is_certain }
end

local function announce(channel, slot)
  redis.call('PUBLISH', channel, slot)
end
