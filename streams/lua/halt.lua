-- KEYS: meta.  ARGV: epoch, why.
-- Reply: 'ok'. Records of the partition are not consumed until an operator takes the mark away.

local _, refusal = fence(tonumber(ARGV[1]))
if refusal then
  return refusal
end
redis.call('HSET', META, 'halt', ARGV[2])
return {'ok'}
