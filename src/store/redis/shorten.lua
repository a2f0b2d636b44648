-- An old ticket leads to ARGV[3] until ARGV[4] at most.
local entry, failure = read()
if failure then return failure end
if entry and entry.kind == 'renewed' and entry.to == ARGV[3] and entry.deadline > tonumber(ARGV[4]) then
  redis.call('HSET', KEYS[1], 'm', table.concat({ '1 renewed', entry.to, entry.issued, ARGV[4] }, ' '))
end
return { 'done' }
