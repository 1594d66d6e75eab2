"""The steps on a job's record that must not be torn apart, as Lua that Redis runs at once.

Time is the Redis server's: coordinators' clocks may differ. Every write of an owner carries its fencing token, which
grows with each claim: one who lost the lease without noticing writes nothing. All keys of a job hash to one slot.
"""

from __future__ import annotations

__all__ = [
    "CANCEL",
    "CLAIM",
    "CREATE",
    "FINISH",
    "MARK",
    "RECOUNT",
    "RELEASE",
    "RENEW",
    "REOPEN",
    "SLOT",
    "SLOTS_RENEW",
]

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
_OWNED = """
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return -1 end
"""

#: KEYS job. ARGV field, value, … → 1, or 0 where the job exists already.
CREATE = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
"""

#: KEYS job. ARGV owner, milliseconds of the lease → token, or 0.
CLAIM = (
    _NOW
    + """
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'queued' and state ~= 'running' then return 0 end
local lease = tonumber(redis.call('HGET', KEYS[1], 'lease') or '0')
if lease > now and redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
local token = redis.call('HINCRBY', KEYS[1], 'token', 1)
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'lease', now + ARGV[2], 'state', 'running', 'waiting', '')
redis.call('HSETNX', KEYS[1], 'started', now)
return token
"""
)

#: KEYS job. ARGV token, milliseconds, field, value, … → the state that is wanted, or -1 where the lease is lost.
RENEW = (
    _OWNED
    + _NOW
    + """
redis.call('HSET', KEYS[1], 'lease', now + ARGV[2], unpack(ARGV, 3))
return redis.call('HGET', KEYS[1], 'state')
"""
)

#: KEYS job, bitmap, failures. ARGV token, chunk, queries, pairs, cached → 1, 0 where it was marked, -1 lease lost.
MARK = (
    _OWNED
    + """
if redis.call('SETBIT', KEYS[2], ARGV[2], 1) == 1 then return 0 end
redis.call('HDEL', KEYS[3], ARGV[2])
redis.call('HINCRBY', KEYS[1], 'done', 1)
redis.call('HINCRBY', KEYS[1], 'queries', ARGV[3])
redis.call('HINCRBY', KEYS[1], 'pairs', ARGV[4])
redis.call('HINCRBY', KEYS[1], 'cached', ARGV[5])
return 1
"""
)

#: KEYS job, bitmap. ARGV token, bitmap, chunks done, queries, pairs, cached → 1, or -1.
RECOUNT = (
    _OWNED
    + """
redis.call('SET', KEYS[2], ARGV[2])
redis.call('HSET', KEYS[1], 'done', ARGV[3], 'queries', ARGV[4], 'pairs', ARGV[5], 'cached', ARGV[6])
return 1
"""
)

#: KEYS job. ARGV token, state, field, value, … → 1, 0 where it was cancelled meanwhile, -1 lease lost.
FINISH = (
    _OWNED
    + _NOW
    + """
if redis.call('HGET', KEYS[1], 'state') ~= 'running' then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'finished', now, 'lease', 0, unpack(ARGV, 3))
return 1
"""
)

#: KEYS job. ARGV token → 1, or -1. Another coordinator may claim the job at once.
RELEASE = (
    _OWNED
    + """
redis.call('HSET', KEYS[1], 'lease', 0)
return 1
"""
)

#: KEYS job. → 1, or 0 where the job is not under way.
CANCEL = (
    _NOW
    + """
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'queued' and state ~= 'running' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'cancelled', 'finished', now)
return 1
"""
)

#: KEYS job. ARGV field, value, … → 1, or 0 where the job is under way or not there. Queues it again.
REOPEN = """
local state = redis.call('HGET', KEYS[1], 'state')
if not state or state == 'queued' or state == 'running' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'queued', 'error', '', unpack(ARGV))
redis.call('HDEL', KEYS[1], 'finished')
return 1
"""

#: KEYS slots. ARGV limit, member, milliseconds → 1, or 0 where all are taken.
SLOT = (
    _NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3] * 2)
return 1
"""
)

#: KEYS slots. ARGV milliseconds, member, … Keeps slots; those that expired meanwhile are taken again.
SLOTS_RENEW = (
    _NOW
    + """
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1] * 2)
return 1
"""
)
