-- KEYS: meta.
-- Reply: 'ok' and the number of the batch that was given up, if one was announced.
--
-- The number is used up: what was published of that batch stands in the journal under it.

local pending = redis.call('HGET', META, 'intent_seq')
if not pending then
  return {'ok', false}
end
redis.call('HDEL', META, '') -- changes nothing; a right that was withdrawn must be found before the first write
raise_epoch()
redis.call('HSET', META, 'seq', pending, 'seq_epoch', 0)
redis.call('HDEL', META, 'intent_seq', 'intent')
return {'ok', pending}
