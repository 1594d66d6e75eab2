"""What a searching client is told beside the hits: `X-Rerank-*` and `Server-Timing`; and the log line of a search."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from connector.proxy import headers as http
from connector.rerank import Outcome, Timings

__all__ = ["Told", "log_search", "of_outcome", "request_id"]

log = logging.getLogger(__name__)

_LONGEST = 300
#: Headers by which clients name their requests, in the order in which they are believed.
_IDS = (b"x-request-id", b"x-opaque-id", b"traceparent")


class Told:
    """Status and reason of one search, as headers."""

    def __init__(
        self, status: str, reason: str = "", *, model: str | None = None, timings: Timings | None = None
    ) -> None:
        self.status, self.reason, self.model, self.timings = status, reason, model, timings

    def headers(self) -> http.Headers:
        """The response headers."""
        lines = [(b"x-rerank-status", self.status.encode())]
        if self.reason:
            lines.append((b"x-rerank-reason", _line(_SENTENCES.get(self.status, self.reason))))
        if self.model:
            lines.append((b"x-rerank-model", _line(self.model)))
        if self.timings:
            lines.append((b"server-timing", _timing(self.timings)))
        return lines


#: What clients read in place of an error's own words, which may name hosts: those are for the log.
_SENTENCES = {
    "partial": "not every hit was scored before the deadline",
    "timeout": "the scores did not come before the deadline",
    "unavailable": "no live worker, or no way to reach one",
    "shed": "too much work is waiting",
    "error": "scoring failed",
}


def of_outcome(outcome: Outcome) -> Told:
    """What an outcome says."""
    model = outcome.model and f"{outcome.model} {(outcome.fingerprint or '')[:12]}".strip()
    return Told(outcome.status, outcome.reason, model=model, timings=outcome.timings)


def request_id(headers: http.Headers) -> str | None:
    """The name that the client gave its request."""
    for name in _IDS:
        value = http.first(headers, name)
        if value:
            return value[:_LONGEST].decode("latin-1")
    return None


def log_search(told: Told, headers: http.Headers, index: str, extra: Mapping[str, Any]) -> None:
    """One line for one search. Neither its words nor its hits, unless `extra` has them.

    Searches of indices that are off belong to somebody else: they are told at level debug only.
    """
    level = logging.DEBUG if told.status == "off" and not told.reason else logging.INFO
    if not log.isEnabledFor(level):
        return
    fields: dict[str, Any] = {"index": index, "status": told.status}
    if told.reason:
        fields["reason"] = told.reason
    if (name := request_id(headers)) is not None:
        fields["request_id"] = name
    if told.timings:
        fields["ms"] = {part: round(seconds * 1000, 3) for part, seconds in _parts(told.timings)}
    log.log(level, "search", extra={**fields, **extra})


def _parts(timings: Timings) -> tuple[tuple[str, float], ...]:
    return (
        ("engine", timings.engine_s),
        ("cache", timings.cache_s),
        ("queue", timings.queue_s),
        ("score", timings.score_s),
        ("merge", timings.merge_s),
        ("total", timings.total_s),
    )


def _timing(timings: Timings) -> bytes:
    return ", ".join(f"{part};dur={seconds * 1000:.2f}" for part, seconds in _parts(timings)).encode()


def _line(text: str) -> bytes:
    """A header value: one line of printable ASCII."""
    return "".join(char if " " <= char <= "~" else "?" for char in text[:_LONGEST]).encode("ascii")
