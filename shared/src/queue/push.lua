-- Takes a batch in, or says why not. Scripts do not roll back: every check comes before the first write, and the first write is
-- the push. Answers { what, Redis' clock in ms, detail }.
--
-- KEYS 1 main stream, 2 slow stream, 3 backlog, 4 the tenant's batches under way, 5 bell,
--      with an idempotency key: 6 that key, 7 bytes remembered by hour, 8 the same of this tenant alone
-- ARGV 1 deadline in ms of Redis' clock, 2 most bytes that may wait, 3 tenant, 4 batch id, 5 header, 6 payload,
--      7 unpacked bytes, 8 unpacked bytes of a tenant past which it goes to the slow lane, 9 ms the bell stays set,
--      10 most bytes of one tenant that may wait,
--      with an idempotency key: 11 hash of the unpacked body, 12 ms it is remembered, 13 most bytes that may be remembered,
--      14 bytes that Redis needs for a key beside its text, 15 most bytes of one tenant that may be remembered
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- What is remembered is counted by the hour it came in: an hour's bytes are let go once its last key has expired, never earlier.
-- Answers bytes, hours that are over, and the oldest that is not.
local function remembered(key, hour)
  local bytes, over, oldest = 0, {}, hour
  local by_hour = redis.call('HGETALL', key)
  for i = 1, #by_hour, 2 do
    local lapses = by_hour[i] + math.ceil(ARGV[12] / 3600000) + 1
    if lapses <= hour then
      over[#over + 1] = by_hour[i]
    else
      bytes = bytes + by_hour[i + 1]
      oldest = math.min(oldest, tonumber(by_hour[i]))
    end
  end
  return bytes, over, oldest
end

local remembers, hour, over = 0, nil, {}
if KEYS[6] then
  local seen = redis.call('GET', KEYS[6])
  if seen then
    local hash, batch = string.match(seen, '^(%S+) (%S+)$')
    if hash == ARGV[11] then return { 'replayed', now, batch } end
    return { 'conflict', now, '' }
  end
  hour = math.floor(now / 3600000)
  remembers = #KEYS[6] + #ARGV[11] + 1 + #ARGV[4] + ARGV[14]
  for i, most in ipairs({ ARGV[13], ARGV[15] }) do
    local bytes, lapsed, oldest = remembered(KEYS[6 + i], hour)
    over[i] = lapsed
    if bytes + remembers > tonumber(most) then
      local room_at = (oldest + math.ceil(ARGV[12] / 3600000) + 1) * 3600000
      return { 'forgetful', now, tostring(math.ceil((room_at - now) / 1000)) }
    end
  end
end
if now > tonumber(ARGV[1]) then return { 'late', now, '' } end
local bytes = #ARGV[5] + #ARGV[6]
local waiting = redis.call('HMGET', KEYS[3], 'stored', 's:' .. ARGV[3], 'w:' .. ARGV[3])
if (waiting[1] or 0) + bytes > tonumber(ARGV[2]) then return { 'full', now, '' } end
if (waiting[2] or 0) + bytes > tonumber(ARGV[10]) then return { 'tenant_full', now, '' } end

local lane = KEYS[1]
if tonumber(waiting[3] or '0') > tonumber(ARGV[8]) then lane = KEYS[2] end
redis.call('XADD', lane, '*', 'u', ARGV[7], 'h', ARGV[5], 'p', ARGV[6])
redis.call('HINCRBY', KEYS[3], 'stored', bytes)
redis.call('HINCRBY', KEYS[3], 's:' .. ARGV[3], bytes)
redis.call('HINCRBY', KEYS[3], 'w:' .. ARGV[3], ARGV[7])
redis.call('ZADD', KEYS[4], 0, ARGV[4])
if KEYS[6] then
  redis.call('SET', KEYS[6], ARGV[11] .. ' ' .. ARGV[4], 'PX', ARGV[12])
  for i, lapsed in ipairs(over) do
    redis.call('HINCRBY', KEYS[6 + i], hour, remembers)
    if #lapsed > 0 then redis.call('HDEL', KEYS[6 + i], unpack(lapsed)) end
  end
  redis.call('PEXPIRE', KEYS[8], ARGV[12] + 7200000)
end
if redis.call('SET', KEYS[5], '1', 'NX', 'PX', ARGV[9]) then return { 'accepted', now, 'ring' } end
return { 'accepted', now, '' }
