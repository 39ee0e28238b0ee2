-- The head of every script of the state store: what is known of the partition, and who may go on.
--
-- KEYS[1] is the partition's meta hash:
--   epoch                  raised at every take-over; only its holder may announce and commit
--   seq, seq_epoch         the last committed batch, and the epoch that committed it
--   intent_seq, intent     the batch that is announced and not committed, if any
--   pos:<topic>            the next offset to read
--   halt                   why records are not consumed, where an operator has to look first
--   states:<stage>         how many states, and
--   timers:<stage>         how many timers the last commit left: fewer now means that some were lost
-- The other keys are pairs, one pair per stage: its hash of states and its sorted set of timers.
--
-- Every reply starts with a word: ok, fenced, behind, corrupt or pending. All checks come before the first write,
-- because a script that fails half-way is not rolled back.

-- Up to Redis 6 a script is replicated and logged as such, with every key it was asked to read, unless it says
-- otherwise. Its effects are smaller, and may depend on the time. From Redis 7 on there is no other way.
if redis.replicate_commands then
  redis.replicate_commands()
end

local META = KEYS[1]
local CHUNK = 4000 -- arguments per call: Lua's stack takes just under 8000

-- Epochs grow with the server's clock, so that a store restored from an older snapshot never gives one out twice.
local function raise_epoch()
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000000 + tonumber(time[2]) -- microseconds, below 2^53 for centuries
  local stored = redis.call('HGET', META, 'epoch')
  if stored then
    now = math.max(now, tonumber(stored) + 1)
  end
  local epoch = string.format('%.0f', now)
  redis.call('HSET', META, 'epoch', epoch)
  return epoch
end

-- States or timers that were evicted or deleted behind the store's back would be mistaken for customers never seen.
local function lost(stage, states, timers)
  local counts = redis.call('HMGET', META, 'states:' .. stage, 'timers:' .. stage)
  local has_states, has_timers = redis.call('HLEN', states), redis.call('ZCARD', timers)
  if has_states == tonumber(counts[1] or 0) and has_timers == tonumber(counts[2] or 0) then
    return nil
  end
  return {'corrupt', 'stage ' .. stage .. ' holds ' .. has_states .. ' states and ' .. has_timers .. ' timers, but '
    .. (counts[1] or '0') .. ' and ' .. (counts[2] or '0')
    .. ' were committed (is maxmemory-policy noeviction? was a key deleted?)'}
end

-- The partition as the holder of `epoch` finds it, or the reply that refuses.
local function fence(epoch)
  local m = redis.call('HMGET', META, 'epoch', 'seq', 'seq_epoch', 'intent_seq', 'intent')
  local stored = tonumber(m[1] or nil)
  if not stored then
    return nil, {'behind', 'the partition has no epoch any more'}
  elseif stored > epoch then
    return nil, {'fenced', 'epoch ' .. ARGV[1] .. ' was followed by ' .. m[1]}
  elseif stored < epoch then
    return nil, {'behind', 'epoch ' .. m[1] .. ' is older than this owner\'s ' .. ARGV[1]}
  end
  local p = {seq = tonumber(m[2] or 0), seq_epoch = tonumber(m[3] or 0), intent_seq = tonumber(m[4] or nil), intent = m[5]}
  if (p.intent_seq == nil) ~= (p.intent == false) or (p.intent_seq and p.intent_seq ~= p.seq + 1) then
    return nil, {'corrupt', 'the announced batch ' .. (m[4] or 'without a number') .. ' does not follow batch ' .. (m[2] or '0')}
  end
  return p, nil
end

-- Writes the intent of batch `sequence`, unless it stands there already. Returns the reply that refuses, if any.
local function write_intent(epoch, sequence, intent)
  local p, refusal = fence(epoch)
  if refusal then
    return refusal
  elseif sequence > p.seq + 1 then
    return {'behind', 'batch ' .. ARGV[2] .. ' is announced after batch ' .. p.seq}
  elseif sequence <= p.seq then
    return {'corrupt', 'batch ' .. ARGV[2] .. ' is announced, and ' .. p.seq .. ' is committed already'}
  elseif p.intent == intent then
    return nil
  elseif p.intent then
    return {'corrupt', 'batch ' .. ARGV[2] .. ' was announced with another intent'}
  end
  redis.call('HSET', META, 'intent_seq', ARGV[2], 'intent', intent)
  redis.call('HSETNX', META, 'seq', 0)
  return nil
end
