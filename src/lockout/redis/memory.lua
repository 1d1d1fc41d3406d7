-- What is kept, and how it is read and written. Every key has a TTL, which only collects what can no longer matter: what
-- holds is decided by the times inside. Below the prefix lie
--   r:<key>       one record          p:<profile>   one profile          o:<profile>   keys of an account's records
--   l:<lease>     one lease           leases        leases by deadline   x:<lease>     a lease that must not open any more
--   locks:<kind>  locks by their end  pardons       pardons by number    memory        a name for all of this together
-- Nothing is written before everything is decided, so that an error leaves no half a step.

local records, profiles, writes = {}, {}, {}

local function later(...)
  writes[#writes + 1] = { ... }
end

-- At least so much longer.
local function keep(key, ttlMs)
  if redis.call('PTTL', key) < ttlMs then redis.call('PEXPIRE', key, math.ceil(ttlMs)) end
end

local function loadRecord(key)
  if records[key] then return records[key] end
  local record = { failures = {}, places = {} }
  local stored = redis.call('GET', prefix .. 'r:' .. key)
  if stored then
    local fields = cmsgpack.unpack(stored)
    record = {
      kind = fields.k, owner = fields.o, windowMs = fields.w, failures = fields.f, places = {},
      untilMs = fields.u, tier = fields.t, passed = fields.a, note = fields.n,
    }
    for _, place in ipairs(fields.p) do
      -- Redis may have dropped the lease, when memory was short: its place is not held for ever.
      if place[2] + KEEP_LEASE_MS > now then record.places[#record.places + 1] = place end
    end
  end
  record.indexed = isLocked(record)
  records[key] = record
  return record
end

-- The counter's record, to be changed.
local function recordOf(counter)
  local record = loadRecord(counter.key)
  record.kind, record.owner, record.windowMs = counter.kind, counter.owner, counter.limit.windowMs
  record.changed = true
  return record
end

-- How long it may still matter; 0 or less if it does not.
local function ttlOf(record)
  local ttlMs = 0
  local last = record.failures[#record.failures]
  if last then ttlMs = last[1] + record.windowMs - now end
  for _, place in ipairs(record.places) do ttlMs = math.max(ttlMs, place[2] + KEEP_LEASE_MS - now) end
  if isRemembered(record) then ttlMs = math.max(ttlMs, record.untilMs + FORGET_MS - now) end
  return ttlMs
end

local function saveRecord(key, record)
  local name, ttlMs = prefix .. 'r:' .. key, ttlOf(record)
  local index, owned = prefix .. 'locks:' .. record.kind, record.owner and prefix .. 'o:' .. record.owner
  if isLocked(record) then
    redis.call('ZADD', index, record.untilMs, key)
    keep(index, record.untilMs - now)
  elseif record.indexed then
    redis.call('ZREM', index, key)
  end
  if ttlMs <= 0 then
    redis.call('DEL', name)
    if owned then redis.call('ZREM', owned, key) end
    return
  end
  redis.call('SET', name, cmsgpack.pack({
    k = record.kind, o = record.owner, w = record.windowMs, f = record.failures, p = record.places,
    u = record.untilMs, t = record.tier, a = record.passed, n = isLocked(record) and record.note or nil,
  }), 'PX', math.ceil(ttlMs))
  if owned then
    redis.call('ZREMRANGEBYSCORE', owned, '-inf', now)
    redis.call('ZADD', owned, now + ttlMs, key)
    keep(owned, ttlMs)
  end
end

local function loadProfile(key)
  if profiles[key] then return profiles[key] end
  local stored = redis.call('GET', prefix .. 'p:' .. key)
  local profile = stored and cmsgpack.unpack(stored) or { familiar = {}, subjects = {}, names = {} }
  profiles[key] = profile
  return profile
end

-- Puts it last; the first goes where there are too many.
local function push(list, item, most)
  list[#list + 1] = item
  while #list > most do table.remove(list, 1) end
end

local function pushNew(list, item, most)
  for _, known in ipairs(list) do
    if known == item then return end
  end
  push(list, item, most)
end

local function changedProfile(key)
  local profile = loadProfile(key)
  profile.changed = true
  return profile
end

local function makeFamiliar(key, source)
  local profile, others = changedProfile(key), {}
  for _, known in ipairs(profile.familiar) do
    if known[1] ~= source and known[2] > now then others[#others + 1] = known end
  end
  push(others, { source, now + FAMILIAR_MS }, MOST_FAMILIAR)
  profile.familiar = others
end

local function link(name, subjects)
  if name == '' then return end
  for _, subject in ipairs(subjects) do
    pushNew(changedProfile(name).subjects, subject, MOST_NAMES)
    pushNew(changedProfile(subject).names, name, MOST_NAMES)
  end
end

local function isFamiliar(key, source)
  local profile = loadProfile(key)
  local function has(one)
    for _, known in ipairs(one.familiar) do
      if known[1] == source and known[2] > now then return true end
    end
    return false
  end
  if has(profile) then return true end
  for _, subject in ipairs(profile.subjects) do
    if has(loadProfile(subject)) then return true end
  end
  return false
end

local function loadLease(id)
  local stored = redis.call('GET', prefix .. 'l:' .. id)
  return stored and cmsgpack.unpack(stored)
end

local function saveLease(id, lease)
  -- Longer than the lease, so that whoever asks next finds what it held.
  later('SET', prefix .. 'l:' .. id, cmsgpack.pack(lease), 'PX', KEEP_LEASE_MS)
  later('ZADD', prefix .. 'leases', lease.deadlineMs, id)
end

local function dropLease(id)
  later('DEL', prefix .. 'l:' .. id)
  later('ZREM', prefix .. 'leases', id)
end

local function save()
  for key, record in pairs(records) do
    if record.changed then saveRecord(key, record) end
  end
  for key, profile in pairs(profiles) do
    if profile.changed then
      profile.changed = nil
      redis.call('SET', prefix .. 'p:' .. key, cmsgpack.pack(profile), 'PX', FAMILIAR_MS)
    end
  end
  for _, write in ipairs(writes) do redis.call(unpack(write)) end
  if #writes > 0 and redis.call('EXISTS', prefix .. 'leases') == 1 then keep(prefix .. 'leases', KEEP_LEASE_MS) end
end
