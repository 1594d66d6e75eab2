"""Ends tasks for certain: a cancellation that arrives together with Redis' answer may be swallowed on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["stop"]

#: Seconds after which a task that did not stop is cancelled once more: time enough to give leases back.
_ASK_AGAIN = 3.0


async def stop(tasks: Iterable[asyncio.Task[Any]], *, ask_again: float = _ASK_AGAIN) -> None:
    """Cancels `tasks` until they are done. What they raised is dropped."""
    every = set(tasks)
    left = {task for task in every if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=ask_again)
    for task in every:
        if not task.cancelled():
            task.exception()
