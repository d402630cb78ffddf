-- The members of a generation: a sorted set of all that have not left by their own word, by when each one's lease ends.
-- No lease that ends takes a member out: the clock may have stepped past it. The set goes with its key.
--
-- One more entry has the score 0. `whole:` with a history of writes: no member was forgotten while that history lasts.

local function use(users, member, lease, left)
  redis.call('ZADD', users, digits(now + lease), member)
  redis.call('PEXPIRE', users, digits(math.max(redis.call('PTTL', users), lease, left)))
end

local function entry_of_whole(history)
  return 'whole:' .. history
end
