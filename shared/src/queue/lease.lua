-- Takes, renews or ends a lease. Answers 1 where the holder has it, or had it until now.
--
-- KEYS 1 lease
-- ARGV 1 holder, 2 ms it lasts; 0 ends it
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 1
