"""Sends a task for pairs that nobody scores yet, beside whoever asked: a client that leaves takes no task with it."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connector.contract import names
from connector.contract.errors import NoWorker, QueueUnavailable, ScoringError
from connector.contract.wire import ScoreRequest
from connector.scoring.flights import Flight, Flights

if TYPE_CHECKING:
    from connector.contract.heartbeats import Heartbeat
    from connector.scoring.admission import Admission
    from connector.scoring.directory import Directory
    from connector.scoring.replies import Replies
    from connector.scoring.sender import Sender

__all__ = ["Asked", "Dispatcher"]

log = logging.getLogger(__name__)

#: Seconds a reply is still welcome after its request's deadline: late scores serve the next search.
_AFTERLIFE = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What all tasks of one call of `Scorer.score` have in common."""

    worker: Heartbeat
    key: str
    query: str
    passages: str
    lane: names.Lane
    deadline: float


class Dispatcher:
    """Knows what is under way, and sends the rest."""

    def __init__(
        self,
        *,
        directory: Directory,
        reply_reader: Replies,
        sender: Sender,
        landed: Callable[[Flight], None],
        admission: Admission | None,
    ) -> None:
        self._directory = directory
        self._replies = reply_reader
        self._sender = sender
        self._landed = landed
        self._admission = admission
        self._flights = Flights()
        self._sending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._flights)

    async def fly(
        self, asked: Asked, missing: Mapping[bytes, str], *, join: bool
    ) -> tuple[list[Flight], Flight | None]:
        """The flights that will bring `missing`: with `join` those under way, and one of its own for the rest.

        Raises:
            ScoringError: no worker lives, the state Redis is away, or the task is not worth sending.
        """
        fingerprint = asked.worker.fingerprint
        under_way = self._flights.find(asked.key, missing, asked.lane) if join else {}
        if len(under_way) < len(missing):
            if not await self._directory.alive(fingerprint):
                raise NoWorker(f"no live worker serves {asked.worker.model} ({fingerprint[:12]})")
            # Others may have taken off meanwhile; from here to the registration of ours nothing waits.
            under_way = self._flights.find(asked.key, missing, asked.lane) if join else {}
        rest = {field: text for field, text in missing.items() if field not in under_way}
        joined = list(dict.fromkeys(under_way.values()))
        return joined, self._launch(asked, rest) if rest else None

    def _launch(self, asked: Asked, documents: Mapping[bytes, str]) -> Flight:
        fingerprint = asked.worker.fingerprint
        if self._admission:
            self._admission.admit(fingerprint, self._directory.live(fingerprint), asked.deadline)
        request_id = uuid.uuid4().hex
        left = asked.deadline - time.monotonic()
        message = ScoreRequest(
            id=request_id,
            reply_to=self._replies.connector_id,
            fingerprint=fingerprint,
            passages=asked.passages,
            query=asked.query,
            documents=tuple(documents.values()),
            cache_key=asked.key,
            fields=tuple(field.hex() for field in documents),
            budget=max(0.0, left),
        )
        flight = Flight(
            key=asked.key,
            fields=tuple(documents),
            reply=self._replies.expect(request_id),
            deadline=asked.deadline,
            lane=asked.lane,
        )
        self._flights.add(flight)
        if self._admission:
            self._admission.watch(fingerprint, flight.reply, asked.deadline)
        # A late reply fills the local cache too. One that never comes is given up, so that nothing piles up.
        giving_up = asyncio.get_running_loop().call_later(left + _AFTERLIFE, flight.reply.cancel)
        flight.reply.add_done_callback(lambda _: giving_up.cancel())
        flight.reply.add_done_callback(lambda _: self._landed(flight))
        task = asyncio.create_task(self._send(flight, message.encode(), names.queue(fingerprint, asked.lane)))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return flight

    async def _send(self, flight: Flight, message: Mapping[str, Any], queue: str) -> None:
        try:
            await self._sender.send(names.SCORE_TASK, message, queue=queue)
        except ScoringError as exc:
            flight.fail(exc)
        except asyncio.CancelledError:
            flight.reply.cancel()
            raise
        except Exception as exc:
            # Whatever it was: those who wait must hear of it, and get the engine's order.
            log.exception("task_not_sent")
            flight.fail(QueueUnavailable(f"the task could not be sent: {type(exc).__name__}"))
