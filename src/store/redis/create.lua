-- Stores a session: ARGV[4] is its meta, then come its fields and their values. ARGV[3] is 'over' where whatever is there
-- is overwritten. Else there must be nothing, or what a renewal of the key that it says left when it broke off.
if ARGV[3] ~= 'over' then
  local entry, failure = read()
  if failure then return failure end
  if entry and not (entry.kind == 'live' and entry.from == ARGV[3]) then return { 'taken' } end
end
local user
clear()
redis.call('HSET', KEYS[1], 'm', ARGV[4])
for i = 5, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  user = user or ARGV[i] == 'u'
end
keep(parse(ARGV[4], user))
return { 'done' }
