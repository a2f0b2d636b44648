-- The session of version ARGV[3] is not to stand here after all.
local entry, failure = read()
if failure then return failure end
if entry and entry.kind == 'ended' then return { 'ended', whole(entry.deadline) } end
if entry and entry.kind == 'live' and entry.version == tonumber(ARGV[3]) then redis.call('DEL', KEYS[1]) end
return { 'done' }
