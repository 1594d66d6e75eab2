"""Wakes Celery's event loop when a slot becomes free.

The loop asks the broker for the next message only when something happens on its sockets; with every slot taken nothing
does, and a finished request would leave its slot empty for up to a second.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from celery import bootsteps

__all__ = ["WakeStep", "slot_is_free"]

#: One pipe a process: whoever finishes a request writes, the loop reads.
_pipe: list[int] = []


class WakeStep(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Listens to the pipe; registered anew with each connection to the broker."""

    def register_with_event_loop(self, _consumer: Any, hub: Any) -> None:
        """Called when the consumer's loop begins."""
        if not _pipe:
            _pipe.extend(os.pipe())
            for end in _pipe:
                os.set_blocking(end, False)
        hub.add_reader(_pipe[0], _drain)


def slot_is_free() -> None:
    """Wakes the loop; callable from any thread."""
    if _pipe:
        # A full pipe wakes it as well.
        with contextlib.suppress(BlockingIOError):
            os.write(_pipe[1], b"\0")


def _drain() -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(_pipe[0], 4096):
            pass
