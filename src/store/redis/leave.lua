-- A session has been stored elsewhere: where the live session here still has the version ARGV[3], or, where that is
-- nothing, nothing is here, ARGV[4] takes its place.
local entry, failure = read()
if failure then return failure end
local seen = tonumber(ARGV[3])
local as_expected = not entry and not seen or entry and entry.kind == 'live' and entry.version == seen
if not as_expected then return { 'changed', entry and entry.meta or '' } end
become(ARGV[4])
return { 'done' }
