"""Who serves an alias: fingerprints and live workers, read from heartbeats once a second, off the request path."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, cast

import redis

from connector.contract import heartbeats, names
from connector.contract.errors import QueueUnavailable, WireError
from connector.contract.heartbeats import Heartbeat

if TYPE_CHECKING:
    import redis.asyncio

__all__ = ["Directory"]

log = logging.getLogger(__name__)

#: Seconds until a state Redis that did not answer is asked again.
_ASK_AGAIN = 0.25


class Directory:
    """The workers as they announced themselves. `run` keeps it fresh; `resolve` and `live` read it."""

    def __init__(self, state: redis.asyncio.Redis) -> None:
        self._state = state
        self._workers: dict[str, Heartbeat] = {}
        self._remembered: dict[str, Heartbeat] = {}
        self._answers: bool | None = None

    @property
    def answers(self) -> bool:
        """Whether the state Redis answered the last time it was asked."""
        return bool(self._answers)

    def workers(self) -> list[Heartbeat]:
        """Every live worker, oldest model first."""
        return sorted(self._workers.values(), key=lambda beat: beat.started)

    def live(self, fingerprint: str) -> list[Heartbeat]:
        """The live workers of one model."""
        return [beat for beat in self._workers.values() if beat.fingerprint == fingerprint]

    async def alive(self, fingerprint: str) -> bool:
        """Whether a worker of this model lives; asked again before the answer is no.

        Raises:
            QueueUnavailable: the state Redis does not answer, or did not a moment ago: `run` goes on asking.
        """
        if not self.live(fingerprint):
            if self._answers is False:
                raise QueueUnavailable("the state Redis does not answer")
            await self.refresh()
        return bool(self.live(fingerprint))

    async def resolve(self, alias: str) -> Heartbeat | None:
        """The newest live model of `alias`, else the one last announced, else None.

        Raises:
            QueueUnavailable: nothing is known of the alias, and the state Redis does not answer.
        """
        newest = max(
            (beat for beat in self._workers.values() if beat.alias == alias), key=lambda b: b.started, default=None
        )
        known = newest or self._remembered.get(alias)
        return known or await self._ask(alias)

    async def run(self) -> None:
        """Refreshes until cancelled."""
        while True:
            try:
                await self.refresh()
            except QueueUnavailable:
                pass  # the next look will tell
            except Exception:
                log.exception("heartbeats_failed")
            await asyncio.sleep(heartbeats.INTERVAL if self._answers else _ASK_AGAIN)

    async def refresh(self) -> None:
        """Reads all heartbeats: two round trips.

        Raises:
            QueueUnavailable: the state Redis does not answer; what was known stays, but nobody counts as live.
        """
        try:
            ids = [member.decode(errors="replace") for member in await _members(self._state)]
            beats = await self._state.mget([names.heartbeat_key(i) for i in ids]) if ids else []
            gone = [i for i, beat in zip(ids, beats, strict=True) if beat is None]
            if gone:
                await self._state.srem(names.WORKERS_KEY, *gone)
        except (redis.RedisError, OSError) as exc:
            self._workers, self._answers = {}, False
            raise QueueUnavailable(f"the state Redis does not answer: {exc}") from exc
        self._answers = True
        self._workers = {i: beat for i, data in zip(ids, beats, strict=True) if data and (beat := _decode(data))}
        for beat in self.workers():
            self._remembered[beat.alias] = beat

    async def _ask(self, alias: str) -> Heartbeat | None:
        try:
            data = await self._state.get(names.alias_key(alias))
        except (redis.RedisError, OSError) as exc:
            raise QueueUnavailable(f"the state Redis does not answer: {exc}") from exc
        beat = _decode(data) if data else None
        if beat:
            self._remembered[alias] = beat
        return beat


async def _members(state: redis.asyncio.Redis) -> list[bytes]:
    return sorted(await cast("Awaitable[set[bytes]]", state.smembers(names.WORKERS_KEY)))


def _decode(data: bytes | str) -> Heartbeat | None:
    try:
        return Heartbeat.decode(data)
    except WireError as exc:
        log.warning("heartbeat_unreadable", extra={"reason": str(exc)})
        return None
