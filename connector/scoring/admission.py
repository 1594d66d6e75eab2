"""Which tasks are worth sending: none to a model that stopped answering, none into a queue too deep for the deadline.

A circuit opens after several deadlines in a row passed without any reply of that model, or after its model failed as
often. It lets one task through after a pause; any reply closes it. Replies that come late are replies: a slow worker
still fills the cache, a hung one does not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from connector.contract.errors import CircuitOpen, Shed

if TYPE_CHECKING:
    from connector.contract.heartbeats import Heartbeat
    from connector.contract.wire import Reply

__all__ = ["Admission", "Circuit"]

#: Failures in a row that open a circuit, and the seconds until it is tried again: at first, and at most.
FAILURES = 5
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 15.0


class Circuit:
    """One model's. Pure: the time is passed in."""

    def __init__(self) -> None:
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._tried_again_at = 0.0

    def is_open(self, now: float) -> bool:
        """Whether tasks are held back at `now`."""
        return self._failures >= FAILURES and now < self._tried_again_at

    def admit(self, now: float) -> bool:
        """Whether a task may go; after the pause one may, and the next only after another pause."""
        if self._failures < FAILURES:
            return True
        if now < self._tried_again_at:
            return False
        self._tried_again_at = now + self._pause
        return True

    def failed(self, now: float) -> None:
        """A deadline passed in silence, or the model failed."""
        self._failures += 1
        if self._failures >= FAILURES:
            self._tried_again_at = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def answered(self) -> None:
        """A reply with scores came."""
        self._failures = 0
        self._pause = FIRST_PAUSE


class Admission:
    """The circuits of a process, by fingerprint."""

    def __init__(self) -> None:
        self._circuits: dict[str, Circuit] = {}

    def open_circuits(self) -> list[str]:
        """Fingerprints whose tasks are held back now."""
        now = time.monotonic()
        return [fingerprint for fingerprint, circuit in self._circuits.items() if circuit.is_open(now)]

    def admit(self, fingerprint: str, workers: Sequence[Heartbeat], deadline: float) -> None:
        """Lets a task pass, or not. `workers` are the live ones of the model, `deadline` an instant.

        Raises:
            Shed: what waits at the least busy worker already takes longer than the deadline.
            CircuitOpen: the model stopped answering.
        """
        now = time.monotonic()
        wait = min((_wait(worker) for worker in workers), default=0.0)
        if 0 < deadline - now < wait:
            raise Shed(f"about {wait * 1000:.0f} ms of work is waiting, more than the deadline allows")
        if not self._circuits.setdefault(fingerprint, Circuit()).admit(now):
            raise CircuitOpen("the model did not answer repeatedly; it is tried again in a few seconds")

    def watch(self, fingerprint: str, reply: asyncio.Future[Reply], deadline: float) -> None:
        """Learns from what becomes of a task that was let pass."""
        circuit = self._circuits.setdefault(fingerprint, Circuit())
        loop = asyncio.get_running_loop()

        def late() -> None:
            if not reply.done():
                circuit.failed(time.monotonic())

        def done(future: asyncio.Future[Reply]) -> None:
            timer.cancel()
            if future.cancelled():
                return
            if future.exception() is None and future.result().values is not None:
                circuit.answered()
            elif future.exception() is not None or _model_failed(future.result()):
                circuit.failed(time.monotonic())

        timer = loop.call_later(max(0.0, deadline - time.monotonic()), late)
        reply.add_done_callback(done)


def _wait(worker: Heartbeat) -> float:
    """Seconds until the worker is through with what waits, by its own count."""
    return worker.waiting_tokens * worker.ms_per_1000_tokens / 1_000_000


def _model_failed(reply: Reply) -> bool:
    return reply.error is not None and reply.error[0] == "ModelFailed"
