-- Takes over what a consumer left behind: entries nobody renewed for a while, until `max_bytes` unpacked are reached. One whose
-- consumers died `alone_after` times is taken alone, so that what it may break is only itself.
--
-- KEYS 1 stream
-- ARGV 1 group, 2 consumer, 3 max bytes, 4 max entries, 5 idle for so many ms, 6 alone after so many deliveries
local taken, bytes = {}, 0
local left = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[5], '-', '+', ARGV[4])
for _, pending in ipairs(left) do
  local deliveries = pending[4]
  local alone = deliveries >= tonumber(ARGV[6])
  if not (alone and #taken > 0) then
    local claimed = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[5], pending[1])
    if claimed[1] and claimed[1][2] then
      bytes = bytes + (tonumber(claimed[1][2][2]) or 0)
      taken[#taken + 1] = { claimed[1][1], deliveries, claimed[1][2] }
      if alone or bytes >= tonumber(ARGV[3]) then break end
    end
  end
end
return taken
