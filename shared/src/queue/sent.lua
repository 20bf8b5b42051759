-- Says what a tenant sent in a month at least, unless that is known. What was counted meanwhile is among it, or not yet stored.
--
-- KEYS 1 what it sent this month
-- ARGV 1 logs, 2 bytes
if redis.call('HEXISTS', KEYS[1], 'known') == 1 then return end
for i, meter in ipairs({ 'logs', 'bytes' }) do
  local counted = tonumber(redis.call('HGET', KEYS[1], meter) or '0')
  redis.call('HSET', KEYS[1], meter, string.format('%d', math.max(counted, tonumber(ARGV[i]))))
end
redis.call('HSET', KEYS[1], 'known', 1)
redis.call('PEXPIRE', KEYS[1], 5356800000)
