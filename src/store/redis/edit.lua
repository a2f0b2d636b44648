-- ARGV[3]: since when a session may have been born for a birth to join it, or nothing where none may be born; ARGV[4]:
-- the most bytes of data; ARGV[5]: 'p', '-' or nothing; ARGV[6]: a newborn's id; ARGV[7]: how many fields are set, which
-- follow with their values; then the fields to remove.
local birth, sets, most = tonumber(ARGV[3]), tonumber(ARGV[7]), tonumber(ARGV[4])
local entry, failure = read()
if failure then return failure end
if entry and entry.kind ~= 'live' then
  return entry.kind == 'renewed' and { 'renewed', entry.meta } or { 'dead' }
end
if entry and birth and entry.created < birth then return { 'not theirs' } end
if not entry and not (birth and sets > 0) then return { 'missing' } end

local born = not entry
local fields = {}
if not born then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 2) == 'd:' then fields[all[i]] = all[i + 1] end
  end
end
for i = 8, 7 + 2 * sets, 2 do fields[ARGV[i]] = ARGV[i + 1] end
for i = 8 + 2 * sets, #ARGV do fields[ARGV[i]] = nil end
-- As JSON: {"key":value, and so on, and } at the end; a field is `d:` and its key.
local size = 0
for field, value in pairs(fields) do size = size + #field + #value + 2 end
if size > 0 then size = size + 1 end
if size > most then return { 'over', size } end

if born then
  clear()
  entry = { kind = 'live', id = ARGV[6], created = now, seen = now, issued = ARGV[1], version = 0, persistent = '-',
    from = '-' }
else
  if size == 0 and not entry.user then
    redis.call('DEL', KEYS[1])
    return { 'emptied' }
  end
  entry.version = (entry.version + 1) % 4294967296
end
if ARGV[5] ~= '' then entry.persistent = ARGV[5] end
-- What only removes is possible where there is no memory left.
if sets == 0 then keep(entry) end
redis.call('HSET', KEYS[1], 'm', live(entry))
for i = 8, 7 + 2 * sets, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
for i = 8 + 2 * sets, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
keep(entry)
return { born and 'born' or 'live', redis.call('HGETALL', KEYS[1]) }
