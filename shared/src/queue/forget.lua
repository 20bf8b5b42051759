-- Forgets consumers that hold nothing and have been silent for a while. In one script: a consumer that took something between the
-- look and the end would take it with it, and nobody would ever claim it. Answers how many were forgotten.
--
-- KEYS 1 stream
-- ARGV 1 group, 2 silent for so many ms
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if consumers.err then return 0 end -- No stream, or no group on it: nobody was ever here.
local forgotten = 0
for _, fields in ipairs(consumers) do
  local consumer = {}
  for i = 1, #fields, 2 do consumer[fields[i]] = fields[i + 1] end
  if consumer.pending == 0 and consumer.idle > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    forgotten = forgotten + 1
  end
end
return forgotten
