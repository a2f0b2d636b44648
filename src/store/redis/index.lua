-- A user's sessions: KEYS[1] is the sorted set of their keys by the time at which their lives end whatever happens. ARGV[1]
-- is the time; ARGV[2] the end of the one that is added, and ARGV[3] its key.
local MARGIN = 60
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', tonumber(ARGV[1]) - MARGIN))
-- As long as the longest of them.
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
if last then
  local left = math.max(tonumber(last) - tonumber(ARGV[1]) + MARGIN, 1)
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', left * 1000))
end
return { 'done' }
