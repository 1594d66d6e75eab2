"""Ends tasks for certain: a cancellation that arrives together with Redis' answer may be swallowed on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["stop"]

#: Seconds after which a task that did not stop is cancelled once more.
_ASK_AGAIN = 0.1


async def stop(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels `tasks` until they are done. What they raised is dropped."""
    every = set(tasks)
    left = {task for task in every if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_ASK_AGAIN)
    for task in every:
        if not task.cancelled():
            task.exception()
