-- Takes a batch in, or says why not. Scripts do not roll back: every check comes before the first write, and the first write is
-- the push. Answers { what, Redis' clock in ms, detail, what is left of each limit }.
--
-- KEYS 1 main stream, 2 slow stream, 3 backlog, 4 the tenant's batches under way, 5 bell, 6 the tenant's rates,
--      7 what it sent this month,
--      with an idempotency key: 8 that key, 9 bytes remembered by hour, 10 the same of this tenant alone
-- ARGV 1 deadline in ms of Redis' clock, 2 most bytes that may wait, 3 tenant, 4 batch id, 5 header, 6 payload,
--      7 unpacked bytes, 8 unpacked bytes of a tenant past which it goes to the slow lane, 9 ms the bell stays set,
--      10 most bytes of one tenant that may wait, 11 limits, '' for none: { "rates": [{ "name", "rate" a second, "burst", "cost" }],
--      "quota": { "logs", "bytes", "cost": { "logs", "bytes" }, "steps": [{ "percent", "action", "logs_per_second" }] } }, the
--      steps from the lowest on, 12 the header where a quota lets the batch in without the index,
--      with an idempotency key: 13 hash of the unpacked body, 14 ms it is remembered, 15 most bytes that may be remembered,
--      16 bytes that Redis needs for a key beside its text, 17 most bytes of one tenant that may be remembered
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- What is remembered is counted by the hour it came in: an hour's bytes are let go once its last key has expired, never earlier.
-- Answers bytes, hours that are over, and the oldest that is not.
local function remembered(key, hour)
  local bytes, over, oldest = 0, {}, hour
  local by_hour = redis.call('HGETALL', key)
  for i = 1, #by_hour, 2 do
    local lapses = by_hour[i] + math.ceil(ARGV[14] / 3600000) + 1
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
if KEYS[8] then
  local seen = redis.call('GET', KEYS[8])
  if seen then
    local hash, batch = string.match(seen, '^(%S+) (%S+)$')
    if hash == ARGV[13] then return { 'replayed', now, batch, {} } end
    return { 'conflict', now, '', {} }
  end
  hour = math.floor(now / 3600000)
  remembers = #KEYS[8] + #ARGV[13] + 1 + #ARGV[4] + ARGV[16]
  for i, most in ipairs({ ARGV[15], ARGV[17] }) do
    local bytes, lapsed, oldest = remembered(KEYS[8 + i], hour)
    over[i] = lapsed
    if bytes + remembers > tonumber(most) then
      local room_at = (oldest + math.ceil(ARGV[14] / 3600000) + 1) * 3600000
      return { 'forgetful', now, tostring(math.ceil((room_at - now) / 1000)), {} }
    end
  end
end
if now > tonumber(ARGV[1]) then return { 'late', now, '', {} } end
-- A rate is a bucket: so many tokens flow in each second, up to its burst. What costs more than the burst passes when the bucket is
-- full, and what follows waits until that is paid off. Answers the tokens that would be left; or nothing, and when there are enough.
local function draw(rate)
  local tokens = rate.burst
  local held = redis.call('HGET', KEYS[6], rate.name)
  if held then
    local left, at = string.match(held, '^(%S+) (%S+)$')
    tokens = math.min(rate.burst, left + math.max(0, now - at) * rate.rate / 1000)
  end
  local needed = math.min(rate.cost, rate.burst)
  if tokens < needed then return nil, math.ceil((needed - tokens) * 1000 / rate.rate) end
  return tokens - rate.cost
end

local drawn, left, header, quota = {}, {}, ARGV[5], nil
if ARGV[11] ~= '' then
  local limits = cjson.decode(ARGV[11])
  local given = #limits.rates
  quota = limits.quota
  if quota then
    local sent = redis.call('HMGET', KEYS[7], 'logs', 'bytes')
    quota.left = {}
    for i, meter in ipairs({ 'logs', 'bytes' }) do
      if quota[meter] then
        local used = tonumber(sent[i] or '0')
        quota.left[#quota.left + 1] = math.max(0, quota[meter] - used - quota.cost[meter])
        for _, step in ipairs(quota.steps) do
          local most = quota[meter] * step.percent / 100
          -- Nothing passes the mark past which nothing is taken; the milder steps begin once their mark is reached.
          local over = used >= most or (step.action == 'refuse' and used + quota.cost[meter] > most)
          if over and (not quota.step or step.percent >= quota.step.percent) then quota.step = step end
        end
      end
    end
    if quota.step then
      local action = quota.step.action
      if action == 'refuse' then return { 'over_quota', now, '', {} } end
      if action == 'raw_only' then header = ARGV[12] end
      if action == 'throttle' then
        local most = quota.step.logs_per_second
        limits.rates[#limits.rates + 1] = { name = 'quota', rate = most, burst = most, cost = quota.cost.logs }
      end
    end
  end
  for i, rate in ipairs(limits.rates) do
    local tokens, wait = draw(rate)
    if not tokens then return { 'limited', now, rate.name .. ' ' .. wait, {} } end
    drawn[#drawn + 1] = rate.name
    drawn[#drawn + 1] = string.format('%.3f %d', tokens, now)
    if i <= given then left[i] = math.floor(tokens) end
  end
end

local bytes = #header + #ARGV[6]
local waiting = redis.call('HMGET', KEYS[3], 'stored', 's:' .. ARGV[3], 'w:' .. ARGV[3])
if (waiting[1] or 0) + bytes > tonumber(ARGV[2]) then return { 'full', now, '', {} } end
if (waiting[2] or 0) + bytes > tonumber(ARGV[10]) then return { 'tenant_full', now, '', {} } end

local lane = KEYS[1]
if tonumber(waiting[3] or '0') > tonumber(ARGV[8]) then lane = KEYS[2] end
redis.call('XADD', lane, '*', 'u', ARGV[7], 'h', header, 'p', ARGV[6])
redis.call('HINCRBY', KEYS[3], 'stored', bytes)
redis.call('HINCRBY', KEYS[3], 's:' .. ARGV[3], bytes)
redis.call('HINCRBY', KEYS[3], 'w:' .. ARGV[3], ARGV[7])
redis.call('ZADD', KEYS[4], 0, ARGV[4])
if #drawn > 0 then
  redis.call('HSET', KEYS[6], unpack(drawn))
  redis.call('PEXPIRE', KEYS[6], 86400000)
end
if quota then
  redis.call('HINCRBY', KEYS[7], 'logs', quota.cost.logs)
  redis.call('HINCRBY', KEYS[7], 'bytes', quota.cost.bytes)
  redis.call('PEXPIRE', KEYS[7], 5356800000)
  for _, most in ipairs(quota.left) do left[#left + 1] = most end
end
if KEYS[8] then
  redis.call('SET', KEYS[8], ARGV[13] .. ' ' .. ARGV[4], 'PX', ARGV[14])
  for i, lapsed in ipairs(over) do
    redis.call('HINCRBY', KEYS[8 + i], hour, remembers)
    if #lapsed > 0 then redis.call('HDEL', KEYS[8 + i], unpack(lapsed)) end
  end
  redis.call('PEXPIRE', KEYS[10], ARGV[14] + 7200000)
end
if redis.call('SET', KEYS[5], '1', 'NX', 'PX', ARGV[9]) then return { 'accepted', now, 'ring', left } end
return { 'accepted', now, '', left }
