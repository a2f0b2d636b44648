-- ARGV[3]: since when a session may have been born for a birth to join it, or nothing where none may be born; ARGV[4]:
-- the most bytes of data; ARGV[5]: 'p', '-' or nothing; ARGV[6]: a newborn's id; ARGV[7]: how many fields are set;
-- ARGV[8]: how many are removed; ARGV[9]: the version that the request saw, or nothing where there was no session; ARGV[10]:
-- how long deletions of cookies are remembered. Then the fields to set with their values; those to remove; and of each
-- cookie its field, what becomes of it, and what follows stamp and birth in its value. MOST_COOKIES, MOST_BYTES and
-- MOST_DELETIONS are those of session/jar.rs, which stand before this text.
local birth, sets, most = tonumber(ARGV[3]), tonumber(ARGV[7]), tonumber(ARGV[4])
local seen = tonumber(ARGV[9])
local first_removed = 11 + 2 * sets
local first_cookie = first_removed + tonumber(ARGV[8])

local entry, failure = read()
if failure then return failure end
if entry and entry.kind ~= 'live' then
  return entry.kind == 'renewed' and { 'renewed', entry.meta } or { 'dead' }
end
if entry and birth and entry.created < birth then return { 'not theirs' } end
local keeps = sets > 0
for i = first_cookie + 1, #ARGV, 3 do keeps = keeps or ARGV[i] ~= 'delete' end
if not entry and not (birth and keeps) then return { 'missing' } end

local born = not entry
local version = born and 0 or (entry.version + 1) % 4294967296
local fields, cookies = {}, {}
if not born then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local kind = string.sub(all[i], 1, 2)
    if kind == 'd:' then fields[all[i]] = all[i + 1] end
    if kind == 'c:' then cookies[all[i]] = all[i + 1] end
  end
end
for i = 11, first_removed - 1, 2 do fields[ARGV[i]] = ARGV[i + 1] end
for i = first_removed, first_cookie - 1 do fields[ARGV[i]] = nil end
-- As JSON: {"key":value, and so on, and } at the end; a field is `d:` and its key.
local size = 0
for field, value in pairs(fields) do size = size + #field + #value + 2 end
if size > 0 then size = size + 1 end
if size > most then return { 'over', size } end

-- As `Jar::changed`: each cookie is merged by itself. What is written and what goes is done when it is sure that all fits.
local writes, gone = {}, {}
local function head(value)
  local stamp, made, expires, kind = string.match(value or '', '^(%d+) (%d+) ([%d-]+) (.)')
  return tonumber(stamp), made, tonumber(expires), kind
end
for i = first_cookie, #ARGV, 3 do
  local field, verb = ARGV[i], ARGV[i + 1]
  local stamp, made, _, kind = head(cookies[field])
  local unseen = stamp and (not seen or seen < stamp)
  if verb == 'delete' then
    writes[field] = table.concat({ whole(version), '0', ARGV[10], 'x\n' }, ' ')
  elseif not (unseen and (kind == 'x' or verb == 'refresh')) then
    local index = math.min((i - first_cookie) / 3, 255)
    if kind ~= 'k' then made = whole(version * 256 + index) end
    writes[field] = table.concat({ whole(version), made, ARGV[i + 2] }, ' ')
  end
end
for field, value in pairs(writes) do cookies[field] = value end
local held, bytes, deletions = 0, 0, {}
if first_cookie <= #ARGV then
  for field, value in pairs(cookies) do
    local stamp, _, expires, kind = head(value)
    if expires and expires <= now then
      gone[#gone + 1] = field
    elseif kind == 'x' then
      deletions[#deletions + 1] = stamp
    else
      held = held + 1
      bytes = bytes + #string.match(field, '[^\n]*$') + #value - string.find(value, '\n', 1, true)
    end
  end
  if held > MOST_COOKIES or bytes > MOST_BYTES then return { 'jar over' } end
  if #deletions > MOST_DELETIONS then
    table.sort(deletions)
    local last = deletions[#deletions - MOST_DELETIONS]
    for field, value in pairs(cookies) do
      local stamp, _, _, kind = head(value)
      if kind == 'x' and stamp <= last then gone[#gone + 1] = field end
    end
  end
  for _, field in ipairs(gone) do cookies[field], writes[field] = nil, nil end
end

if born then
  clear()
  entry = { kind = 'live', id = ARGV[6], created = now, seen = now, issued = ARGV[1], version = 0, persistent = '-',
    from = '-' }
else
  local is_empty = size == 0 and not entry.user
  for _, value in pairs(cookies) do
    local _, _, _, kind = head(value)
    is_empty = is_empty and kind == 'x'
  end
  if is_empty and next(cookies) then
    -- The backend has logged somebody out: no answer to an earlier request brings a cookie back.
    become('1 ended ' .. whole(now + spans[7]))
    return { 'emptied' }
  elseif is_empty then
    redis.call('DEL', KEYS[1])
    return { 'emptied' }
  end
  entry.version = version
end
if ARGV[5] ~= '' then entry.persistent = ARGV[5] end
-- What only removes is possible where there is no memory left: a full Redis refuses a script's first write alone.
if not keeps then keep(entry) end
redis.call('HSET', KEYS[1], 'm', live(entry))
for i = first_removed, first_cookie - 1 do redis.call('HDEL', KEYS[1], ARGV[i]) end
for _, field in ipairs(gone) do redis.call('HDEL', KEYS[1], field) end
for i = 11, first_removed - 1, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
for field, value in pairs(writes) do redis.call('HSET', KEYS[1], field, value) end
keep(entry)
return { born and 'born' or 'live', redis.call('HGETALL', KEYS[1]) }
