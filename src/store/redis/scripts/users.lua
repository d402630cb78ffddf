-- Who uses a generation: a sorted set of members, by when each one's lease ends.
--
-- Two more entries have scores that are not above zero. `lease` is the longest lease seen. `history:` names the
-- history of writes that the set belongs to, with the time from when on nobody in it can have been forgotten.

local function forget_ended(users)
  redis.call('ZREMRANGEBYSCORE', users, '(0', digits(now))
end

-- Returns from when on the set is complete. `whole` says that nobody can have used this generation before.
local function complete_from(users, history, lease, whole)
  history = history and 'history:' .. history
  local longest = math.max(lease, -(redis.call('ZSCORE', users, 'lease') or 0))
  -- First of all: a set that becomes empty in between would lose its end.
  redis.call('ZADD', users, digits(-longest), 'lease')
  local from = history and redis.call('ZSCORE', users, history)
  if from then
    return -from
  end
  for _, entry in ipairs(redis.call('ZRANGEBYSCORE', users, '-inf', '0')) do
    if entry ~= 'lease' then
      redis.call('ZREM', users, entry)
    end
  end
  from = whole and 0 or now + longest
  if history then
    redis.call('ZADD', users, digits(-from), history)
  end
  return from
end

local function keep_until(users, ...)
  local left = redis.call('PTTL', users)
  redis.call('PEXPIRE', users, digits(math.max(left, ...)))
end

local function use(users, member, history, lease, left, whole)
  forget_ended(users)
  local from = complete_from(users, history, lease, whole)
  redis.call('ZADD', users, digits(now + lease), member)
  keep_until(users, lease, left, from - now)
end
