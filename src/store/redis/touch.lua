-- A session was seen now.
local entry, failure = read()
if failure then return failure end
if entry and entry.kind == 'live' and entry.seen < now then
  entry.seen = now
  keep(entry)
  redis.call('HSET', KEYS[1], 'm', live(entry))
end
return { 'done' }
