"""Scores in Redis: one hash a query, 8-byte document field → float32, written once.

A batched int8 or bf16 model gives a pair slightly different values in different batches, so the first value stored is
the one that everybody uses from then on: the writer stores with HSETNX and reads back what stands.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from connector.contract import wire
from connector.contract.errors import WireError

if TYPE_CHECKING:
    import redis
    import redis.asyncio

__all__ = ["TTL", "read", "reread", "write_once"]

#: Seconds that a query's scores live after the first of them was written; each hash draws ± 10 %.
TTL = 7 * 24 * 3600
_SPREAD = 0.1
#: Bytes of a float32.
_WIDTH = 4


async def read(cache: redis.asyncio.Redis, key: str, fields: Sequence[bytes]) -> list[float | None]:
    """The stored scores of `fields`, None where there is none. One round trip.

    Raises:
        redis.RedisError: the cache does not answer.
        WireError: something stands there that is no score.
    """
    return _decode(await cast("Any", cache).hmget(key, list(fields)))


def reread(cache: redis.Redis, key: str, fields: Sequence[bytes]) -> list[float | None]:
    """`read` for workers, which are synchronous: what others stored while a request waited."""
    return _decode(cast("list[bytes | None]", cache.hmget(key, list(fields))))


def write_once(
    cache: redis.Redis, key: str, fields: Sequence[bytes], values: Sequence[float], *, ttl: float = TTL
) -> list[float]:
    """Stores `values` where nothing is stored yet, and returns what is stored now. One round trip.

    Raises:
        redis.RedisError: the cache does not answer.
        WireError: something stands there that is no score.
    """
    pipeline = cache.pipeline(transaction=False)
    for field, value in zip(fields, values, strict=True):
        pipeline.hsetnx(key, field, wire.pack_floats([value]))
    pipeline.expire(key, int(ttl * random.uniform(1 - _SPREAD, 1 + _SPREAD)), nx=True)
    pipeline.hmget(key, list(fields))
    stored = _decode(pipeline.execute()[-1])
    # A cache that evicts may drop the hash between the two commands: then the value just computed stands.
    return [value if kept is None else kept for kept, value in zip(stored, values, strict=True)]


def _decode(stored: Sequence[bytes | None]) -> list[float | None]:
    if any(value is not None and len(value) != _WIDTH for value in stored):
        raise WireError("a cached score is not a float32: another program writes under this prefix")
    return [None if value is None else wire.unpack_floats(value)[0] for value in stored]
