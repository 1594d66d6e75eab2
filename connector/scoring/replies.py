"""One reader of this process's reply list: pops what workers push and resolves the future that waits for it."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable
from typing import TYPE_CHECKING, cast

import redis

from connector.contract import errors, names
from connector.contract.errors import ModelFailed, QueueUnavailable, WireError
from connector.contract.wire import Reply

if TYPE_CHECKING:
    import redis.asyncio

__all__ = ["Replies", "numbers"]

log = logging.getLogger(__name__)

#: Seconds one BLPOP waits; shorter than the client's socket timeout.
_POP_TIMEOUT = 2
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


class Replies:
    """Futures by request id. `run` reads until cancelled."""

    def __init__(self, state: redis.asyncio.Redis, connector_id: str) -> None:
        self._state = state
        self.connector_id = connector_id
        self._key = names.reply_key(connector_id)
        self._waiting: dict[str, asyncio.Future[Reply]] = {}

    def expect(self, request_id: str) -> asyncio.Future[Reply]:
        """A future for the reply to `request_id`. Cancelled or done, it is forgotten."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = future
        future.add_done_callback(lambda _: self._waiting.pop(request_id, None))
        return future

    async def run(self) -> None:
        """Pops replies until cancelled; while Redis is away, everyone who waits is told at once."""
        pause = _FIRST_PAUSE
        while True:
            try:
                popped = await cast(
                    "Awaitable[list[bytes] | None]", self._state.blpop([self._key], timeout=_POP_TIMEOUT)
                )
            except Exception as exc:
                if not isinstance(exc, (redis.RedisError, OSError)):
                    # A reader that ends would leave every later search to its deadline.
                    log.exception("replies_failed")
                self._fail_all(QueueUnavailable(f"the state Redis does not answer: {exc}"))
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            if popped:
                self._resolve(popped[1])

    def _resolve(self, data: bytes) -> None:
        try:
            reply = Reply.decode(data)
        except WireError as exc:
            log.warning("reply_unreadable", extra={"reason": str(exc)})
            return
        future = self._waiting.get(reply.id)
        if future and not future.done():
            future.set_result(reply)

    def _fail_all(self, error: QueueUnavailable) -> None:
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(error)
                # Whoever still waits sees it; one that nobody awaits any more is not worth a warning.
                future.exception()


def numbers(reply: Reply) -> list[float]:
    """The reply's numbers.

    Raises:
        ScoringError: of the kind that the worker named; `ModelFailed` for any other.
    """
    if reply.values is not None:
        if not all(map(math.isfinite, reply.values)):
            raise ModelFailed("a worker sent a value that is no number")
        return list(reply.values)
    name, message = reply.error or ("ModelFailed", "an empty reply")
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, errors.ScoringError):
        raise kind(message)
    raise errors.ModelFailed(f"{name}: {message}")
