-- The rules of policy.ts, step for step, where Redis runs them; test/lockout/store-conformance.ts holds both to one model.
-- A record is changed in place. Its fields:
--   failures   { { atMs, account }, ... }, oldest first
--   places     { { account, deadlineMs of its lease }, ... }
--   untilMs, tier, passed   of the lock, if there is one

local function isLocked(record)
  return record.untilMs ~= nil and record.untilMs > now
end

local function isRemembered(record)
  return record.untilMs ~= nil and record.untilMs + FORGET_MS > now
end

local function isHalfOpen(record, limit)
  return limit.afterLock == 'half_open' and isRemembered(record) and not record.passed and record.untilMs <= now
end

local function forgetLock(record)
  record.untilMs, record.tier, record.passed, record.note = nil, nil, nil, nil
end

local function recent(failures, limit)
  local function counts(failure)
    return failure[1] + limit.windowMs > now
  end
  if limit.sinceLast then
    local last = failures[#failures]
    return last ~= nil and counts(last) and failures or {}
  end
  local kept, counting = {}, false
  for _, failure in ipairs(failures) do
    counting = counting or counts(failure)
    if counting then kept[#kept + 1] = failure end
  end
  return kept
end

-- Distinct accounts: how many, and which.
local function accountsOf(failures)
  local known, count = {}, 0
  for _, failure in ipairs(failures) do
    if not known[failure[2]] then
      known[failure[2]] = true
      count = count + 1
    end
  end
  return count, known
end

-- How long until no more failures count than the limit allows; 0 if they don't.
local function surplusFor(failures, limit)
  local over = failures[#failures - limit.maxAttempts + 1]
  if over == nil and limit.accounts ~= nil and accountsOf(failures) >= limit.accounts then over = failures[1] end
  if over == nil then return 0 end
  local since = limit.sinceLast and failures[#failures] or over
  return since[1] + limit.windowMs - now
end

-- 'admitted', 'no_place', or 'locked' and for how long. Changes nothing.
local function admit(record, limit, account)
  if isLocked(record) then return 'locked', record.untilMs - now end
  local failures = recent(record.failures, limit)
  local free = isHalfOpen(record, limit) and 1 or limit.maxAttempts - #failures
  local surplusMs = surplusFor(failures, limit)
  if surplusMs > 0 then return 'locked', surplusMs end
  if #record.places >= free then return 'no_place' end
  if limit.accounts ~= nil then
    local count, known = accountsOf(failures)
    local function add(name)
      if not known[name] then
        known[name] = true
        count = count + 1
      end
    end
    for _, place in ipairs(record.places) do add(place[1]) end
    add(account)
    if count > limit.accounts then return 'no_place' end
  end
  return 'admitted'
end

-- Did this very failure set the lock?
local function fail(record, limit, account, random)
  if isLocked(record) then return false end
  local failures = recent(record.failures, limit)
  failures[#failures + 1] = { now, account }
  record.failures = failures
  local isLast = isHalfOpen(record, limit)
    or #failures >= limit.maxAttempts
    or (limit.accounts ~= nil and accountsOf(failures) >= limit.accounts)
  if not isLast then return false end
  local tier = isRemembered(record) and record.tier + 1 or 1
  local durationMs = limit.lockMs[math.min(tier, #limit.lockMs)]
  forgetLock(record)
  record.failures = {}
  record.tier = tier
  record.untilMs = now + durationMs * (1 + (limit.jitter or 0) * (2 * random - 1))
  return true
end

-- Failures from keepFromMs on stay, too, if it is given.
local function clear(record, keepFromMs)
  local kept = {}
  for _, failure in ipairs(record.failures) do
    if keepFromMs and failure[1] >= keepFromMs then kept[#kept + 1] = failure end
  end
  record.failures = kept
  if not isLocked(record) then forgetLock(record) end
end

local function pass(record)
  if record.untilMs ~= nil and not isLocked(record) then record.passed = true end
end

local function leave(record, account, deadlineMs)
  for index, place in ipairs(record.places) do
    if place[1] == account and place[2] == deadlineMs then
      table.remove(record.places, index)
      return
    end
  end
end

local function stateOf(record, limit)
  local failures = recent(record.failures, limit)
  local lockedForMs = isLocked(record) and record.untilMs - now or surplusFor(failures, limit)
  return {
    failures = #failures,
    limit = isHalfOpen(record, limit) and 1 or limit.maxAttempts,
    inFlight = #record.places,
    lockedForMs = lockedForMs > 0 and lockedForMs or nil,
  }
end
