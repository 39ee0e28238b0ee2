-- KEYS: meta.  ARGV: the least number that the last batch may have, then topic, offset, ...
-- Reply: 'ok', or 'pending' and the number of the batch that is announced and not committed.

local pending = redis.call('HGET', META, 'intent_seq')
if pending then
  return {'pending', pending}
end
raise_epoch()
local seq = tonumber(redis.call('HGET', META, 'seq') or 0)
if tonumber(ARGV[1]) > seq then
  redis.call('HSET', META, 'seq', ARGV[1], 'seq_epoch', 0)
else
  redis.call('HSETNX', META, 'seq', 0)
end
for i = 2, #ARGV, 2 do
  redis.call('HSET', META, 'pos:' .. ARGV[i], ARGV[i + 1])
end
return {'ok'}
