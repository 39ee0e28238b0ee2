-- KEYS: meta, then states and timers of each stage.  ARGV: the stages, in the order of their keys.
-- Reply: 'ok', the new epoch, the meta hash as a list, the stages' earliest due times (or nil).

for i, stage in ipairs(ARGV) do
  local refusal = lost(stage, KEYS[2 * i], KEYS[2 * i + 1])
  if refusal then
    return refusal
  end
end
local epoch = raise_epoch()
local due = {}
for i = 1, #ARGV do
  due[i] = redis.call('ZRANGE', KEYS[2 * i + 1], 0, 0, 'WITHSCORES')[2] or false
end
return {'ok', epoch, redis.call('HGETALL', META), due}
