-- Reads fresh entries of one lane for a consumer, until `max_bytes` unpacked are reached: at least one if there is one.
--
-- KEYS 1 stream
-- ARGV 1 group, 2 consumer, 3 max bytes, 4 max entries
local taken, bytes = {}, 0
while bytes < tonumber(ARGV[3]) and #taken < tonumber(ARGV[4]) do
  local answer = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', 1, 'STREAMS', KEYS[1], '>')
  if not answer then break end
  local entry = answer[1][2][1]
  -- An entry of another shape counts as nothing here, and is buried by whoever opens it.
  bytes = bytes + (tonumber(entry[2][2]) or 0)
  taken[#taken + 1] = { entry[1], 0, entry[2] }
end
return taken
