-- Counts what was refused of a tenant in an hour.
--
-- KEYS 1 the hour's counts, 2 tenants and hours that are not kept elsewhere
-- ARGV 1 tenant and hour, 2 a name for these counts, should there be none, 3 most fields, 4 ms they live,
--      then five for each kind of refusal: its field, the field where there are too many, requests, logs, bytes
redis.call('HSETNX', KEYS[1], 'epoch', ARGV[2])
for i = 5, #ARGV, 5 do
  local field = ARGV[i]
  -- Services are named by whoever sends: they must not fill the memory.
  if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[3]) and redis.call('HEXISTS', KEYS[1], 'requests ' .. field) == 0 then field = ARGV[i + 1] end
  redis.call('HINCRBY', KEYS[1], 'requests ' .. field, ARGV[i + 2])
  redis.call('HINCRBY', KEYS[1], 'logs ' .. field, ARGV[i + 3])
  redis.call('HINCRBY', KEYS[1], 'bytes ' .. field, ARGV[i + 4])
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('SADD', KEYS[2], ARGV[1])
