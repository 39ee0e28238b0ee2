-- KEYS: meta, states, timers.  ARGV: epoch, sequence, stage, intent, until (ms), limit
-- Reply: 'ok', the keys that are due, by time and then key, then one list of their states (or nil) per chunk of keys.

local refusal = lost(ARGV[3], KEYS[2], KEYS[3]) or write_intent(tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[4])
if refusal then
  return refusal
end
local keys = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[5], 'LIMIT', 0, ARGV[6])
local reply = {'ok', keys}
for first = 1, #keys, CHUNK do
  reply[#reply + 1] = redis.call('HMGET', KEYS[2], unpack(keys, first, math.min(first + CHUNK - 1, #keys)))
end
return reply
