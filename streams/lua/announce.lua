-- KEYS: meta, states, timers.  ARGV: epoch, sequence, stage, intent, key...
-- Reply: 'ok', then one list of states (or nil) per chunk of keys, in the keys' order.

local refusal = lost(ARGV[3], KEYS[2], KEYS[3]) or write_intent(tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[4])
if refusal then
  return refusal
end
local reply = {'ok'}
for first = 5, #ARGV, CHUNK do
  reply[#reply + 1] = redis.call('HMGET', KEYS[2], unpack(ARGV, first, math.min(first + CHUNK - 1, #ARGV)))
end
return reply
