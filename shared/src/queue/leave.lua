-- A processor leaves: the bell is taken down, then it looks once more. If something nobody has taken yet is left, the bell is set
-- again and the answer is 1: ring.
--
-- KEYS 1 bell, then each lane's stream
-- ARGV 1 group, 2 ms the bell stays set
redis.call('DEL', KEYS[1])
for i = 2, #KEYS do
  local taken = redis.pcall('XPENDING', KEYS[i], ARGV[1])
  local held = taken.err and 0 or taken[1]
  if redis.call('XLEN', KEYS[i]) > held then
    redis.call('SET', KEYS[1], '1', 'PX', ARGV[2])
    return 1
  end
end
return 0
