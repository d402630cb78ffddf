-- The members of a generation that have not left: a sorted set, ordered by when each member's lease ends. A lease that
-- ends removes no member, because the clock may have stepped past it. The set expires with its key.
--
-- One more entry has the score 0: `whole:` and a history of writes. It says that no member was forgotten while that
-- history lasts.

local function use(users, member, lease, left)
  redis.call('ZADD', users, digits(now + lease), member)
  redis.call('PEXPIRE', users, digits(math.max(redis.call('PTTL', users), lease, left)))
end

local function entry_of_whole(history)
  return 'whole:' .. history
end
