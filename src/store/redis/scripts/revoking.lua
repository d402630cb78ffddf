-- Ends that a generation, or an older one, is taken up. `ended` and `ever` are what was revoked and granted so far.
local function end_up_to(generation, current, record, ever, highest, ended, revoked)
  redis.call('SET', revoked, higher(ended, generation), 'PX', KEPT)
  redis.call('SET', highest, higher(ever, generation), 'PX', KEPT)
  if current and not less(generation, current) then
    redis.call('DEL', record)
  end
end
