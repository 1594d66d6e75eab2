"""How fast a job goes: the pairs a second that it may, and those that it does."""

from __future__ import annotations

import asyncio
import time
from collections import deque

__all__ = ["Pace", "Speed"]

#: Seconds over which speed is measured.
_SPAN = 20.0


class Pace:
    """Lets `rate` pairs a second pass, on average; everything at once where it is None."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._next = 0.0

    async def wait(self, pairs: int) -> None:
        """Returns when `pairs` more may go."""
        if self._rate is None:
            return
        now = time.monotonic()
        at = max(self._next, now)
        self._next = at + pairs / self._rate
        await asyncio.sleep(at - now)


class Speed:
    """Pairs a second over the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def add(self, pairs: int) -> None:
        """`pairs` more were done."""
        now = time.monotonic()
        self._seen.append((now, self._seen[-1][1] + pairs))
        while len(self._seen) > 2 and self._seen[1][0] < now - _SPAN:
            self._seen.popleft()

    def now(self) -> float:
        """Pairs a second; 0 before the first."""
        (first, before), (_, after) = self._seen[0], self._seen[-1]
        seconds = time.monotonic() - first
        return round((after - before) / seconds, 2) if seconds > 0 else 0.0
