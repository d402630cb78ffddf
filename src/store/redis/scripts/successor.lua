-- Adds one. The highest number of 64 bits stays as it is.
local function successor(generation)
  if generation == '18446744073709551615' then
    return generation
  end
  local head, last, nines = string.match(generation, '^(%d-)(%d?)(9*)$')
  return head .. digits((tonumber(last) or 0) + 1) .. string.rep('0', #nines)
end
