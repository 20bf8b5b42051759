-- Takes batches in that came together, or says of each why not. Scripts do not roll back: every check of a batch comes before the
-- first write for it, and that write is the push. Answers Redis' clock in ms, then for each batch { what, detail, what is left of each
-- limit }.
--
-- KEYS 1 main stream, 2 slow stream, 3 backlog, 4 bell, then for each batch: its tenant's batches under way, the tenant's rates, what
--      it sent this month, and with an idempotency key: that key, bytes remembered by hour, the same of this tenant alone
-- ARGV 1 most bytes that may wait, 2 most bytes of one tenant that may wait, 3 unpacked bytes of a tenant past which it goes to the slow
--      lane, 4 ms the bell stays set, 5 ms an idempotency key is remembered, 6 most bytes that may be remembered, 7 most of one tenant,
--      8 bytes that Redis needs for a key beside its text, then for each batch: deadline in ms of Redis' clock, tenant, batch id, header,
--      payload, unpacked bytes, limits, '' for none: { "rates": [{ "name", "rate" a second, "burst", "cost" }], "quota": { "logs", "bytes",
--      "cost": { "logs", "bytes" }, "steps": [{ "percent", "action", "logs_per_second" }] } }, the steps from the lowest on, the header
--      where a quota lets the batch in without the index, and the hash of the unpacked body, '' without an idempotency key
local SHARED_KEYS, SHARED_ARGS, ARGS = 4, 8, 9
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Bytes that wait, all and by tenant, and who has batches under way: read once, written once.
local stored, tenants, under_way = nil, {}, {}
local function waiting_of(tenant)
  if not tenants[tenant] then
    local read = redis.call('HMGET', KEYS[3], 'stored', 's:' .. tenant, 'w:' .. tenant)
    stored = stored or tonumber(read[1] or '0')
    tenants[tenant] = { stored = tonumber(read[2] or '0'), unpacked = tonumber(read[3] or '0') }
  end
  return tenants[tenant]
end

-- What is remembered is counted by the hour it came in: an hour's bytes are let go once its last key has expired, never earlier.
-- Answers bytes, hours that are over, and the oldest that is not.
local function remembered(key, hour)
  local bytes, over, oldest = 0, {}, hour
  local by_hour = redis.call('HGETALL', key)
  for i = 1, #by_hour, 2 do
    local lapses = by_hour[i] + math.ceil(ARGV[5] / 3600000) + 1
    if lapses <= hour then
      over[#over + 1] = by_hour[i]
    else
      bytes = bytes + by_hour[i + 1]
      oldest = math.min(oldest, tonumber(by_hour[i]))
    end
  end
  return bytes, over, oldest
end

-- A rate is a bucket: so many tokens flow in each second, up to its burst. What costs more than the burst passes when the bucket is
-- full, and what follows waits until that is paid off. Answers the tokens that would be left; or nothing, and when there are enough.
local function draw(rates, rate)
  local tokens = rate.burst
  local held = redis.call('HGET', rates, rate.name)
  if held then
    local left, at = string.match(held, '^(%S+) (%S+)$')
    tokens = math.min(rate.burst, left + math.max(0, now - at) * rate.rate / 1000)
  end
  local needed = math.min(rate.cost, rate.burst)
  if tokens < needed then return nil, math.ceil((needed - tokens) * 1000 / rate.rate) end
  return tokens - rate.cost
end

-- The step of a quota that a batch has reached, if any; and what would be left of the quota.
local function step_of(quota, month)
  local sent, left, reached = redis.call('HMGET', month, 'logs', 'bytes'), {}, nil
  for i, meter in ipairs({ 'logs', 'bytes' }) do
    if quota[meter] then
      local used = tonumber(sent[i] or '0')
      left[#left + 1] = math.max(0, quota[meter] - used - quota.cost[meter])
      for _, step in ipairs(quota.steps) do
        local most = quota[meter] * step.percent / 100
        -- Nothing passes the mark past which nothing is taken; the milder steps begin once their mark is reached.
        local over = used >= most or (step.action == 'refuse' and used + quota.cost[meter] > most)
        if over and (not reached or step.percent >= reached.percent) then reached = step end
      end
    end
  end
  return reached, left
end

-- One batch, whose own keys begin after `key`. Answers what becomes of it.
local function take(key, deadline, tenant, batch, header, payload, unpacked, limits, raw_only, body)
  local under_way_key, rates, month, idempotency = KEYS[key + 1], KEYS[key + 2], KEYS[key + 3], KEYS[key + 4]
  local remembers, hour, over = 0, nil, {}
  if body ~= '' then
    local seen = redis.call('GET', idempotency)
    if seen then
      local hash, before = string.match(seen, '^(%S+) (%S+)$')
      if hash == body then return { 'replayed', before, {} } end
      return { 'conflict', '', {} }
    end
    hour = math.floor(now / 3600000)
    remembers = #idempotency + #body + 1 + #batch + ARGV[8]
    for i, most in ipairs({ ARGV[6], ARGV[7] }) do
      local bytes, lapsed, oldest = remembered(KEYS[key + 4 + i], hour)
      over[i] = lapsed
      if bytes + remembers > tonumber(most) then
        local room_at = (oldest + math.ceil(ARGV[5] / 3600000) + 1) * 3600000
        return { 'forgetful', tostring(math.ceil((room_at - now) / 1000)), {} }
      end
    end
  end
  if now > tonumber(deadline) then return { 'late', '', {} } end

  local drawn, left, quota, left_of_quota = {}, {}, nil, {}
  if limits ~= '' then
    limits = cjson.decode(limits)
    local given = #limits.rates
    quota = limits.quota
    if quota then
      local step
      step, left_of_quota = step_of(quota, month)
      if step then
        if step.action == 'refuse' then return { 'over_quota', '', {} } end
        if step.action == 'raw_only' then header = raw_only end
        if step.action == 'throttle' then
          local most = step.logs_per_second
          limits.rates[#limits.rates + 1] = { name = 'quota', rate = most, burst = most, cost = quota.cost.logs }
        end
      end
    end
    for i, rate in ipairs(limits.rates) do
      local tokens, wait = draw(rates, rate)
      if not tokens then return { 'limited', rate.name .. ' ' .. wait, {} } end
      drawn[#drawn + 1] = rate.name
      drawn[#drawn + 1] = string.format('%.3f %d', tokens, now)
      if i <= given then left[i] = math.floor(tokens) end
    end
  end

  local bytes, waiting = #header + #payload, waiting_of(tenant)
  if stored + bytes > tonumber(ARGV[1]) then return { 'full', '', {} } end
  if waiting.stored + bytes > tonumber(ARGV[2]) then return { 'tenant_full', '', {} } end

  local lane = KEYS[1]
  if waiting.unpacked > tonumber(ARGV[3]) then lane = KEYS[2] end
  redis.call('XADD', lane, '*', 'u', unpacked, 'h', header, 'p', payload)
  stored, waiting.stored, waiting.unpacked = stored + bytes, waiting.stored + bytes, waiting.unpacked + unpacked
  waiting.grew = true
  local batches = under_way[under_way_key] or {}
  under_way[under_way_key] = batches
  batches[#batches + 1] = 0
  batches[#batches + 1] = batch
  if #drawn > 0 then
    redis.call('HSET', rates, unpack(drawn))
    redis.call('PEXPIRE', rates, 86400000)
  end
  if quota then
    redis.call('HINCRBY', month, 'logs', quota.cost.logs)
    redis.call('HINCRBY', month, 'bytes', quota.cost.bytes)
    redis.call('PEXPIRE', month, 5356800000)
    for _, most in ipairs(left_of_quota) do left[#left + 1] = most end
  end
  if body ~= '' then
    redis.call('SET', idempotency, body .. ' ' .. batch, 'PX', ARGV[5])
    for i, lapsed in ipairs(over) do
      redis.call('HINCRBY', KEYS[key + 4 + i], hour, remembers)
      if #lapsed > 0 then redis.call('HDEL', KEYS[key + 4 + i], unpack(lapsed)) end
    end
    redis.call('PEXPIRE', KEYS[key + 6], ARGV[5] + 7200000)
  end
  return { 'accepted', '', left }
end

local answers, key, accepted = { now }, SHARED_KEYS, nil
for at = SHARED_ARGS, #ARGV - 1, ARGS do
  -- What cannot be taken must not keep the others from being counted: they are in the streams already.
  local done, answer = pcall(take, key, unpack(ARGV, at + 1, at + ARGS))
  if not done then answer = { 'failed', tostring(type(answer) == 'table' and answer.err or answer), {} } end
  answers[#answers + 1] = answer
  if answer[1] == 'accepted' then accepted = accepted or answer end
  key = key + (ARGV[at + ARGS] == '' and 3 or 6)
end
if not accepted then return answers end

local counts = { 'stored', stored }
for tenant, waiting in pairs(tenants) do
  if waiting.grew then
    for _, part in ipairs({ 's:' .. tenant, waiting.stored, 'w:' .. tenant, waiting.unpacked }) do counts[#counts + 1] = part end
  end
end
redis.call('HSET', KEYS[3], unpack(counts))
for key_of_tenant, batches in pairs(under_way) do redis.call('ZADD', key_of_tenant, unpack(batches)) end
if redis.call('SET', KEYS[4], '1', 'NX', 'PX', ARGV[4]) then accepted[2] = 'ring' end
return answers
