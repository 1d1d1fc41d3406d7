-- The steps of an attempt (store.ts). Each is one call of this script, and so atomic.

local function heldBy(lease)
  local held = {}
  for _, counter in ipairs(lease.held) do held[counter.key] = true end
  return held
end

local function counterOf(place, held)
  if place.profile == nil then return place end
  if held and held[place.familiar.key] then return place.familiar end
  if held and held[place.unfamiliar.key] then return place.unfamiliar end
  return isFamiliar(place.profile, place.source) and place.familiar or place.unfamiliar
end

-- Counts it. Did it set a lock that refuses?
local function charge(counter, note)
  local record = recordOf(counter)
  if not fail(record, counter.limit, counter.account, request.random) then return false end
  record.note = note
  return not counter.watched
end

local function leaveAll(lease)
  for _, counter in ipairs(lease.held) do
    leave(recordOf(counter), counter.account, lease.deadlineMs)
  end
end

local lost, lostCount = {}, 0

-- Nobody ended it: its guess may well have been verified.
local function lose(id, lease)
  lost[id], lostCount = true, lostCount + 1
  for _, counter in ipairs(lease.held) do charge(counter, lease.note) end
  leaveAll(lease)
  dropLease(id)
end

local function loseOverdue()
  local ids = redis.call('ZRANGEBYSCORE', prefix .. 'leases', '-inf', now, 'LIMIT', 0, MOST_OVERDUE)
  for _, id in ipairs(ids) do
    local lease = loadLease(id)
    if lease then lose(id, lease) else dropLease(id) end
  end
end

-- One that is still open.
local function openLease(id)
  if lost[id] then return nil end
  local lease = loadLease(id)
  if lease and lease.deadlineMs <= now then
    lose(id, lease)
    return nil
  end
  return lease or nil
end

-- Places for the lease on each of the counters that it does not hold, or a refusal.
local function take(lease, places, note)
  local held, fresh, familiar, waitMs, crowded, ignored = heldBy(lease), {}, {}, 0, nil, false
  for _, place in ipairs(places) do
    local counter = counterOf(place, held)
    if place.profile and counter == place.familiar then familiar[#familiar + 1] = place.profile end
    if not held[counter.key] then
      held[counter.key] = true
      fresh[#fresh + 1] = counter
      local record = loadRecord(counter.key)
      local outcome, forMs = admit(record, counter.limit, counter.account)
      -- Whoever looks at the lock sees who came by last.
      if isLocked(record) then record.note, record.changed = note, true end
      if counter.watched then
        ignored = ignored or outcome ~= 'admitted'
      elseif outcome == 'locked' then
        waitMs = math.max(waitMs, forMs)
      elseif outcome == 'no_place' then
        crowded = crowded or counter.key
      end
    end
  end
  if waitMs > 0 then return { outcome = 'locked', retryAfterMs = waitMs } end
  if crowded then return { outcome = 'no_place', key = crowded } end
  for _, counter in ipairs(fresh) do
    local record = recordOf(counter)
    record.failures = recent(record.failures, counter.limit)
    record.places[#record.places + 1] = { counter.account, lease.deadlineMs }
    lease.held[#lease.held + 1] = counter
  end
  return { ignored = ignored, familiar = #familiar > 0 and familiar or nil }
end

-- A source that brings one new name after the other: more are not remembered, it is charged itself.
local function bringsTooMany(counters)
  for _, source in ipairs(counters) do
    if source.kind == 'source' then
      local record = loadRecord(source.key)
      local count, known = accountsOf(recent(record.failures, source.limit))
      if isLocked(record) or (count >= MOST_NEW_NAMES and not known[source.account]) then return true end
    end
  end
  return false
end

local function lastPardon()
  return tonumber(redis.call('ZREVRANGE', prefix .. 'pardons', 0, 0, 'WITHSCORES')[2] or 0)
end

-- Another one after everything was forgotten, as by a restart.
local function memory()
  local name = prefix .. 'memory'
  local known = redis.call('GET', name)
  later('SET', name, known or request.lease, 'PX', FAMILIAR_MS)
  return known or request.lease
end

local steps = {}

function steps.reserve()
  if redis.call('EXISTS', prefix .. 'x:' .. request.lease) == 1 then return { outcome = 'abandoned' } end
  local lease = { held = {}, deadlineMs = now + LEASE_MS, note = request.note }
  local answer = take(lease, request.places, request.note)
  answer.latest = { pardon = lastPardon(), memory = memory() }
  if answer.outcome then return answer end
  answer.outcome = 'reserved'
  saveLease(request.lease, lease)
  return answer
end

function steps.extend()
  local lease = openLease(request.lease)
  if not lease then return { outcome = 'lease_over' } end
  local answer = take(lease, request.places, request.note)
  if answer.outcome then return answer end
  answer.outcome = 'extended'
  lease.note = request.note
  saveLease(request.lease, lease)
  return answer
end

steps['end'] = function()
  local lease = openLease(request.lease)
  if not lease then return { locked = false } end
  local held, ending, failed, cleared, locked = heldBy(lease), request.ending, {}, {}, false
  for _, place in ipairs(ending.failed) do failed[#failed + 1] = counterOf(place, held) end
  for _, key in ipairs(ending.cleared) do cleared[key] = true end
  local forgetsNew = #ending.resolved.subjects == 0 and bringsTooMany(failed)
  for _, counter in ipairs(failed) do
    local isForgotten = cleared[counter.key] or (forgetsNew and counter.unresolved)
    if not isForgotten and charge(counter, request.note) then locked = true end
  end
  for key in pairs(cleared) do
    local record = loadRecord(key)
    if record.kind then
      -- A directory may have counted the failure of an attempt beside this one after it had started afresh.
      clear(record, record.kind == 'directory' and lease.deadlineMs - LEASE_MS or nil)
      record.changed = true
    end
  end
  for _, place in ipairs(ending.passed) do pass(recordOf(counterOf(place, held))) end
  leaveAll(lease)
  dropLease(request.lease)
  if ending.familiar then
    for _, profile in ipairs(ending.familiar.profiles) do makeFamiliar(profile, ending.familiar.source) end
  end
  link(ending.resolved.name, ending.resolved.subjects)
  return { locked = locked }
end

-- Whoever asked for these has gone: they charge nobody, and what has not opened yet never does.
function steps.abandon()
  for _, id in ipairs(request.leases) do
    local lease = openLease(id)
    if lease then
      leaveAll(lease)
      dropLease(id)
    else
      later('SET', prefix .. 'x:' .. id, '', 'PX', LEASE_MS)
    end
  end
  return {}
end
