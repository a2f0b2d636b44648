-- A renewed session forgets which key it had before.
local entry, failure = read()
if failure then return failure end
if entry and entry.kind == 'live' and entry.from ~= '-' then
  entry.from = '-'
  redis.call('HSET', KEYS[1], 'm', live(entry))
end
return { 'done' }
