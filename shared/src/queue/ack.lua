-- Ends entries that are stored: acknowledged, deleted, and the backlog reduced only by what was really deleted, so that doing
-- it twice counts once. Answers how many were deleted.
--
-- KEYS 1 backlog, then for each entry: its stream, its tenant's batches under way
-- ARGV 1 group, then for each entry: entry id, batch id, tenant, bytes as stored, unpacked bytes
local deleted = 0
for i = 0, (#KEYS - 1) / 2 - 1 do
  local stream, under_way = KEYS[2 + 2 * i], KEYS[3 + 2 * i]
  local id, batch, tenant, stored, unpacked = unpack(ARGV, 2 + 5 * i, 6 + 5 * i)
  redis.call('XACK', stream, ARGV[1], id)
  if redis.call('XDEL', stream, id) == 1 then
    deleted = deleted + 1
    redis.call('ZREM', under_way, batch)
    -- Not `-stored`: Lua writes the negation of nothing as -0, which is no integer to Redis.
    redis.call('HINCRBY', KEYS[1], 'stored', 0 - stored)
    if redis.call('HINCRBY', KEYS[1], 's:' .. tenant, 0 - stored) <= 0 then redis.call('HDEL', KEYS[1], 's:' .. tenant) end
    if redis.call('HINCRBY', KEYS[1], 'w:' .. tenant, 0 - unpacked) <= 0 then redis.call('HDEL', KEYS[1], 'w:' .. tenant) end
  end
end
return deleted
