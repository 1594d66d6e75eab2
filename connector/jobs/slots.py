"""Chunks under way, over all jobs and coordinators: two a live worker, so that the queue is no store.

A sorted set in the state Redis holds one member a chunk with the instant at which it counts no more: a coordinator
that is gone blocks nobody for long.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from connector.contract import names
from connector.jobs import scripts

if TYPE_CHECKING:
    import redis.asyncio

__all__ = ["PER_WORKER", "Slots"]

PER_WORKER = 2
#: Seconds between two looks at slots that other coordinators hold.
_LOOK = 0.25


class Slots:
    """The slots of one coordinator. `renew` is called about once a second."""

    def __init__(self, redis: redis.asyncio.Redis, *, lease: float) -> None:
        self._take = redis.register_script(scripts.SLOT)
        self._renew: Any = redis.register_script(scripts.SLOTS_RENEW)
        self._redis = redis
        self._lease_ms = int(lease * 1000)
        self._held: dict[str, set[str]] = defaultdict(set)
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._freed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def held(self, fingerprint: str, member: str, limit: Callable[[], int]) -> AsyncIterator[None]:
        """One slot of a model, in turn. `limit` says how many there are now; 0 while no worker lives.

        Raises:
            redis.RedisError: the state Redis does not answer.
        """
        key = names.JOB_SLOTS_PREFIX + fingerprint[: names.FINGERPRINT_DIGITS]
        async with self._turns[key]:
            while not (count := limit()) or not await self._take(keys=[key], args=[count, member, self._lease_ms]):
                self._freed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._freed.wait(), _LOOK)
        self._held[key].add(member)
        try:
            yield
        finally:
            self._held[key].discard(member)
            try:
                with contextlib.suppress(Exception):  # it expires by itself
                    await self._redis.zrem(key, member)
            finally:
                # After it is free in Redis: whoever is woken looks there.
                self._freed.set()

    async def renew(self) -> None:
        """Keeps what is held.

        Raises:
            redis.RedisError: the state Redis does not answer.
        """
        for key, members in list(self._held.items()):
            if members:
                await self._renew(keys=[key], args=[self._lease_ms, *members])
