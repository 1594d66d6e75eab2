"""Tasks that nobody waits for: held until they are done, bounded in number, their failures logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

__all__ = ["Tasks"]

log = logging.getLogger(__name__)


class Tasks:
    """At most `limit` coroutines running beside everything else."""

    def __init__(self, limit: int = 100) -> None:
        self._limit = limit
        self._running: set[asyncio.Task[None]] = set()

    def add(self, work: Coroutine[Any, Any, None]) -> None:
        """Starts `work`; over the limit it is dropped, which the log says."""
        if len(self._running) >= self._limit:
            work.close()
            log.warning("background_task_dropped", extra={"running": len(self._running)})
            return
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (failure := task.exception()):
            log.error("background_task_failed", exc_info=failure)
