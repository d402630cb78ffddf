-- Revokes a generation and all older ones. `ended` is the highest that was revoked so far, `ever` the highest that is
-- known.
local function end_up_to(generation, current, record, ever, highest, ended, revoked)
  redis.call('SET', revoked, higher(ended, generation), 'PX', KEPT)
  redis.call('SET', highest, higher(ever, generation), 'PX', KEPT)
  if current and not less(generation, current) then
    redis.call('DEL', record)
  end
end
