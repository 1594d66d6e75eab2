"""Pairs that are being scored right now: whoever asks for the same pair meanwhile waits for the same task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

from connector.contract import names
from connector.contract.wire import Reply

__all__ = ["Flight", "Flights"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Flight:
    """One task under way."""

    key: str
    fields: tuple[bytes, ...]
    reply: asyncio.Future[Reply]
    #: Instant of `time.monotonic()` after which nobody should count on it any more.
    deadline: float
    lane: names.Lane = names.INTERACTIVE

    def takes(self, lane: names.Lane) -> bool:
        """Whether a newcomer in `lane` may wait for it: nobody in a hurry waits behind batch work."""
        in_time = not self.reply.done() and time.monotonic() < self.deadline
        return in_time and (self.lane == names.INTERACTIVE or lane == names.BATCH)

    def has_result(self) -> bool:
        """Whether a reply came, be it scores or an error."""
        return self.reply.done() and not self.reply.cancelled() and self.reply.exception() is None

    def fail(self, exc: Exception) -> None:
        """Tells everyone who waits for it; that nobody does is no reason for a warning."""
        if not self.reply.done():
            self.reply.set_exception(exc)
            self.reply.exception()


class Flights:
    """Flights by cache key and document field."""

    def __init__(self) -> None:
        self._by_pair: dict[tuple[str, bytes], Flight] = {}

    def __len__(self) -> int:
        return len(self._by_pair)

    def find(self, key: str, fields: Iterable[bytes], lane: names.Lane) -> dict[bytes, Flight]:
        """The flights that carry `fields` and that a newcomer in `lane` may wait for."""
        found = {field: self._by_pair.get((key, field)) for field in fields}
        return {field: flight for field, flight in found.items() if flight and flight.takes(lane)}

    def add(self, flight: Flight) -> None:
        """Registers a flight until its reply is there, or it is given up by its owner."""
        for field in flight.fields:
            self._by_pair[flight.key, field] = flight
        flight.reply.add_done_callback(lambda _: self._remove(flight))

    def _remove(self, flight: Flight) -> None:
        for field in flight.fields:
            if self._by_pair.get((flight.key, field)) is flight:
                del self._by_pair[flight.key, field]
