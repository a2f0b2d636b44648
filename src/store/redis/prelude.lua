-- What every script begins with. KEYS[1] is an entry's key, ARGV[1] the time, ARGV[2] how long entries live, in seconds.
local now, spans = tonumber(ARGV[1]), {}
for span in string.gmatch(ARGV[2], '%d+') do spans[#spans + 1] = tonumber(span) end
-- Clocks of gateways differ: Redis drops an entry this much after it has expired, and whether it has is theirs to say.
local MARGIN = 60

local function whole(number) return string.format('%.0f', number) end

-- The first moment at which the entry is no more.
local function expiry(entry)
  if entry.kind == 'renewed' then return entry.deadline + spans[7] end
  if entry.kind ~= 'live' then return entry.deadline end
  local limits = entry.persistent == 'p' and 5 or entry.user and 1 or 3
  return math.min(entry.seen + spans[limits], entry.created + spans[limits + 1])
end

local function parse(meta, user)
  local kind, rest = string.match(meta, '^1 (%l+) (.+)$')
  local entry = { kind = kind, meta = meta, user = user }
  if kind == 'live' then
    entry.id, entry.created, entry.seen, entry.issued, entry.version, entry.persistent, entry.from =
      string.match(rest, '^([%w_-]+) (%d+) (%d+) (%d+) (%d+) ([p-]) ([%w_-]+)$')
    entry.created, entry.seen = tonumber(entry.created), tonumber(entry.seen)
    entry.version = tonumber(entry.version)
    return entry.id and entry
  elseif kind == 'renewed' then
    entry.to, entry.issued, entry.deadline = string.match(rest, '^([%w_-]+) (%d+) (%d+)$')
  elseif kind == 'superseded' or kind == 'ended' then
    entry.deadline = string.match(rest, '^(%d+)$')
  end
  entry.deadline = tonumber(entry.deadline)
  return entry.deadline and entry
end

-- The entry as it stands now, or nothing; and the answer to give where it cannot be read.
local function read()
  local found = redis.pcall('HMGET', KEYS[1], 'm', 'u')
  if found.err then
    return nil, string.find(found.err, 'WRONGTYPE', 1, true) and { 'unreadable', 'type' } or found
  end
  if not found[1] then
    return nil, redis.call('EXISTS', KEYS[1]) == 1 and { 'unreadable', 'meta' } or nil
  end
  local entry = parse(found[1], found[2])
  if not entry then return nil, { 'unreadable', 'meta' } end
  return now < expiry(entry) and entry or nil
end

local function live(entry)
  return table.concat({ '1 live', entry.id, whole(entry.created), whole(entry.seen), entry.issued,
    whole(entry.version), entry.persistent, entry.from }, ' ')
end

-- Every write ends so: there is no entry without a time to live.
local function keep(entry)
  redis.call('PEXPIRE', KEYS[1], whole(math.max(expiry(entry) - now + MARGIN, 1) * 1000))
end

-- Removes what is there and does not count any more.
local function clear()
  if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DEL', KEYS[1]) end
end

-- Where there is no memory left, Redis refuses a script's first write if it could add something, and only the first. What
-- adds begins with such a write; what does not, such as this, with another.
local function become(meta)
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'm', meta)
  keep(parse(meta))
end
