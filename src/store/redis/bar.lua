-- Where nothing is, ARGV[3] is left.
local entry, failure = read()
if failure then return failure end
if entry then return { 'changed' } end
become(ARGV[3])
return { 'done' }
