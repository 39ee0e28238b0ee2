-- KEYS: meta.  ARGV: topic, offset, ...
-- Reply: 'ok', or 'pending' and the number of the batch that is announced and not committed.

local pending = redis.call('HGET', META, 'intent_seq')
if pending then
  return {'pending', pending}
end
raise_epoch()
redis.call('HSETNX', META, 'seq', 0)
for i = 1, #ARGV, 2 do
  redis.call('HSET', META, 'pos:' .. ARGV[i], ARGV[i + 1])
end
return {'ok'}
