-- A session ends, and ARGV[3] is left; where there is none, so it is if ARGV[4] says 'mark'.
local entry, failure = read()
if failure then return failure end
if not entry then
  if ARGV[4] ~= 'mark' then return { 'nothing' } end
  become(ARGV[3])
  return { 'marked' }
end
if entry.kind == 'renewed' then return { 'renewed', entry.meta } end
if entry.kind ~= 'live' then return { 'dead' } end
local session = redis.call('HGETALL', KEYS[1])
become(ARGV[3])
return { 'session', session }
