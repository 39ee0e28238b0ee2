-- KEYS: a hash and a sorted set that are nobody's. It leaves nothing behind.
-- Reply: 'ok', then for each command that the user may not run here a word and what the server said.

local said = {'ok'}
local function try(command, ...)
  local reply = redis.pcall(command, ...)
  if type(reply) == 'table' and reply.err then
    said[#said + 1] = command
    said[#said + 1] = reply.err
  end
end

local hash, due = KEYS[1], KEYS[2]
try('TIME')
try('HSET', hash, 'a', 1)
try('HSETNX', hash, 'a', 1)
try('HGET', hash, 'a')
try('HMGET', hash, 'a')
try('HGETALL', hash)
try('HLEN', hash)
try('HDEL', hash, 'a')
try('ZADD', due, 1, 'a')
try('ZRANGE', due, 0, 0)
try('ZRANGEBYSCORE', due, 0, 0)
try('ZCARD', due)
try('ZREM', due, 'a')
return said
