-- What operators ask for, and what other replicas must hear of it. At the end the step that was asked for is run.

local function heldLock(key, record)
  return { key = key, kind = record.kind, forMs = record.untilMs - now, tier = record.tier, note = record.note }
end

local function longestFirst(locks)
  table.sort(locks, function(one, other) return one.forMs > other.forMs end)
  return locks
end

-- These accounts and those they are linked with, over any number of names and subjects.
local function linkedWith(keys)
  local found, seen = {}, {}
  local function add(list)
    for _, key in ipairs(list) do
      if not seen[key] and #found < MOST_LINKED then
        seen[key] = true
        found[#found + 1] = key
      end
    end
  end
  add(keys)
  local index = 1
  while found[index] do
    local profile = loadProfile(found[index])
    add(profile.subjects)
    add(profile.names)
    index = index + 1
  end
  return found
end

-- For the other replicas' own counts. Numbers grow also over a restart that forgets them.
local function notePardon(pardon)
  local number = math.max(lastPardon() + 1, now)
  later('ZADD', prefix .. 'pardons', number, cjson.encode({ number = number, by = request.by, pardon = pardon }))
  later('ZREMRANGEBYSCORE', prefix .. 'pardons', '-inf', now - KEEP_PARDONS_MS)
  later('ZREMRANGEBYRANK', prefix .. 'pardons', 0, -(MOST_PARDONS + 1))
  later('PEXPIRE', prefix .. 'pardons', KEEP_PARDONS_MS)
end

function steps.inspect()
  local states = {}
  for index, place in ipairs(request.places) do
    local counter = counterOf(place)
    states[index] = stateOf(loadRecord(counter.key), counter.limit)
    states[index].kind = counter.kind
  end
  return { states = states }
end

function steps.list()
  local locks = {}
  for _, kind in ipairs(KINDS) do
    local keys = redis.call('ZREVRANGEBYSCORE', prefix .. 'locks:' .. kind, '+inf', '(' .. now, 'LIMIT', 0, request.most)
    for _, key in ipairs(keys) do
      local record = loadRecord(key)
      if isLocked(record) then locks[#locks + 1] = heldLock(key, record) end
    end
  end
  longestFirst(locks)
  while #locks > request.most do table.remove(locks) end
  return { locks = locks }
end

function steps.pardon()
  local pardon, keys, ended = request.pardon, request.pardon.keys, {}
  if pardon.of == 'account' then
    pardon.profiles, keys = linkedWith(pardon.profiles), {}
    for _, profile in ipairs(pardon.profiles) do
      for _, key in ipairs(redis.call('ZRANGE', prefix .. 'o:' .. profile, 0, -1)) do keys[#keys + 1] = key end
    end
  end
  for _, key in ipairs(keys) do
    local record = loadRecord(key)
    if record.kind then
      if isLocked(record) then ended[#ended + 1] = heldLock(key, record) end
      forgetLock(record)
      record.failures, record.changed = {}, true
    end
  end
  notePardon(pardon)
  return { locks = longestFirst(ended) }
end

function steps.pardons()
  return { pardons = redis.call('ZRANGEBYSCORE', prefix .. 'pardons', '(' .. request.since, '+inf') }
end

function steps.count()
  return {}
end

-- What a report tells, after whatever may have changed it.
local function count(answer)
  answer.locked = {}
  for _, kind in ipairs(KINDS) do
    redis.call('ZREMRANGEBYSCORE', prefix .. 'locks:' .. kind, '-inf', now)
    local held = redis.call('ZCARD', prefix .. 'locks:' .. kind)
    if held > 0 then answer.locked[kind] = held end
  end
  -- The account may have no right to ask.
  local keys = redis.pcall('DBSIZE')
  if type(keys) == 'number' then answer.keys = keys end
end

loseOverdue()
local answer = steps[request.step]()
save()
local reply = { answer = answer, lost = lostCount > 0 and lostCount or nil }
if request.step ~= 'inspect' and request.step ~= 'list' then count(reply) end
return cjson.encode(reply)
