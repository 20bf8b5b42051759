-- Takes a batch in, or says why not. Scripts do not roll back: every check comes before the first write, and the first write is
-- the push. Answers { what, Redis' clock in ms, detail }.
--
-- KEYS 1 main stream, 2 slow stream, 3 backlog, 4 the tenant's batches under way, 5 bell, 6 idempotency key (optional)
-- ARGV 1 deadline in ms of Redis' clock, 2 most bytes that may wait, 3 tenant, 4 batch id, 5 header, 6 payload,
--      7 unpacked bytes, 8 unpacked bytes of a tenant past which it goes to the slow lane, 9 ms the bell stays set,
--      10 hash of the unpacked body, 11 ms an idempotency key is remembered
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

if KEYS[6] then
  local seen = redis.call('GET', KEYS[6])
  if seen then
    local hash, batch = string.match(seen, '^(%S+) (%S+)$')
    if hash == ARGV[10] then return { 'replayed', now, batch } end
    return { 'conflict', now, '' }
  end
end
if now > tonumber(ARGV[1]) then return { 'late', now, '' } end
local bytes = #ARGV[5] + #ARGV[6]
if tonumber(redis.call('HGET', KEYS[3], 'stored') or '0') + bytes > tonumber(ARGV[2]) then return { 'full', now, '' } end

local waiting = tonumber(redis.call('HGET', KEYS[3], 'w:' .. ARGV[3]) or '0')
local lane = KEYS[1]
if waiting > tonumber(ARGV[8]) then lane = KEYS[2] end
redis.call('XADD', lane, '*', 'u', ARGV[7], 'h', ARGV[5], 'p', ARGV[6])
redis.call('HINCRBY', KEYS[3], 'stored', bytes)
redis.call('HINCRBY', KEYS[3], 'w:' .. ARGV[3], ARGV[7])
redis.call('ZADD', KEYS[4], 0, ARGV[4])
if KEYS[6] then redis.call('SET', KEYS[6], ARGV[10] .. ' ' .. ARGV[4], 'PX', ARGV[11]) end
if redis.call('SET', KEYS[5], '1', 'NX', 'PX', ARGV[9]) then return { 'accepted', now, 'ring' } end
return { 'accepted', now, '' }
