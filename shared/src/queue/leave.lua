-- A processor leaves: the bell is taken down, then it looks once more. If something nobody has taken yet is left, the bell is set
-- again, and the answer is for how many ms the oldest of it has waited; else it is -1.
--
-- KEYS 1 bell, then each lane's stream
-- ARGV 1 group, 2 ms the bell stays set
local function first_untaken(stream)
  if redis.call('EXISTS', stream) == 0 then return nil end
  -- Without a group nobody has taken anything.
  local after = '-'
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local field = {}
    for i = 1, #group, 2 do field[group[i]] = group[i + 1] end
    if field['name'] == ARGV[1] then after = '(' .. field['last-delivered-id'] end
  end
  return redis.call('XRANGE', stream, after, '+', 'COUNT', 1)[1]
end

redis.call('DEL', KEYS[1])
local time = redis.call('TIME')
local now, waited = time[1] * 1000 + math.floor(time[2] / 1000), -1
for i = 2, #KEYS do
  local first = first_untaken(KEYS[i])
  -- An entry's id begins with when it was added, which another node's clock may have told: one of the future has waited for nothing.
  if first then waited = math.max(waited, now - tonumber(string.match(first[1], '^%d+')), 0) end
end
if waited >= 0 then redis.call('SET', KEYS[1], '1', 'PX', ARGV[2]) end
return waited
