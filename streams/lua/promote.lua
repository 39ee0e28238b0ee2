-- KEYS: meta, then states and timers of each stage; then the same of the copy.
-- ARGV: the last committed batch that the partition had when the copy was begun, or '' where nothing was known of it.
-- Reply: 'ok', or why not. In one step the copy takes the partition's place, under an epoch above any before.

local half = #KEYS / 2
local copy = KEYS[half + 1]
local found = redis.call('HGET', META, 'seq') or ''
if found ~= ARGV[1] then
  return {'fenced', 'a worker has run batches meanwhile: the last is ' .. (found == '' and 'unknown' or found)}
elseif not redis.call('HGET', copy, 'seq') then
  return {'behind', 'the copy of the partition is not there'}
end
local epoch, halt = raise_epoch(), redis.call('HGET', META, 'halt')
for i = 1, half do
  redis.call('DEL', KEYS[i])
  if redis.call('EXISTS', KEYS[half + i]) == 1 then
    redis.call('RENAME', KEYS[half + i], KEYS[i])
  end
end
redis.call('HSET', META, 'epoch', epoch)
if halt then
  redis.call('HSET', META, 'halt', halt)
end
return {'ok'}
