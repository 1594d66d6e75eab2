"""What became of a search: the answer, the status that is told with it, and what took how long."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from connector.engines.base import EngineResponse

__all__ = ["Outcome", "Status", "Timings"]

Status = Literal["applied", "partial", "skipped", "off", "shadow", "timeout", "unavailable", "shed", "error"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Timings:
    """Seconds."""

    engine_s: float = 0.0
    cache_s: float = 0.0
    queue_s: float = 0.0
    score_s: float = 0.0
    merge_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A search's answer and what was done to it."""

    response: EngineResponse
    status: Status
    #: Why, in words; empty for `applied`.
    reason: str = ""
    #: Name and fingerprint of the model that scored.
    model: str | None = None
    fingerprint: str | None = None
    #: Hits with a text, hits whose score was stored before, tasks sent.
    candidates: int = 0
    cache_hits: int = 0
    tasks: int = 0
    #: The engine refused the rewritten request; `response` is its answer to the client's own.
    refused: bool = False
    timings: Timings = field(default_factory=Timings)
