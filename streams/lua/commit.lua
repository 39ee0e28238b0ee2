-- KEYS: meta, states, timers.
-- ARGV: epoch, sequence, stage, rewrite, topic or '', offset, and then three lists, each preceded by its number of
-- arguments: key state ..., due key ..., key ... (timers to remove).
-- Reply: 'ok' and the stage's earliest due time, if any.

local sequence = tonumber(ARGV[2])
local stage, topic = ARGV[3], ARGV[5]

local function ok()
  return {'ok', redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2] or false}
end

local p, refusal = fence(tonumber(ARGV[1]))
if refusal then
  return refusal
elseif sequence == p.seq and p.seq_epoch == tonumber(ARGV[1]) then
  if ARGV[4] == '1' then
    redis.call('HSET', META, 'seq', ARGV[2]) -- the same value: from Redis 7.2 on, WAIT waits for writes only
  end
  return ok()
elseif sequence <= p.seq then
  return {'corrupt', 'batch ' .. ARGV[2] .. ' is committed, and ' .. p.seq .. ' was committed already, by epoch ' .. string.format('%.0f', p.seq_epoch)}
elseif p.intent_seq ~= sequence then
  return {'behind', 'batch ' .. ARGV[2] .. ' is committed, but its intent is not there'}
end
refusal = lost(stage, KEYS[2], KEYS[3])
if refusal then
  return refusal
end

-- A right that was withdrawn must be found before the first write: these change nothing. HSET is the first itself.
-- ZADD leads: a server that is full refuses only a script's first write, and only one that could need memory.
redis.call('ZADD', KEYS[3], 'XX', 0, '')
redis.call('HDEL', META, '')
redis.call('ZREM', KEYS[3], '')

local at = 7
local function each_chunk(command, key)
  local last = at + tonumber(ARGV[at])
  for first = at + 1, last, CHUNK do -- CHUNK is even: no pair is torn
    redis.call(command, key, unpack(ARGV, first, math.min(first + CHUNK - 1, last)))
  end
  at = last + 1
end
each_chunk('HSET', KEYS[2])
each_chunk('ZADD', KEYS[3])
each_chunk('ZREM', KEYS[3])

redis.call('HSET', META, 'seq', ARGV[2], 'seq_epoch', ARGV[1],
  'states:' .. stage, redis.call('HLEN', KEYS[2]), 'timers:' .. stage, redis.call('ZCARD', KEYS[3]))
if topic ~= '' then
  redis.call('HSET', META, 'pos:' .. topic, ARGV[6])
end
redis.call('HDEL', META, 'intent_seq', 'intent')
return ok()
