"""Counts of one process since it began, for `/_rerank/stats`."""

from __future__ import annotations

from collections import Counter
from typing import Any

from connector.rerank import Outcome

__all__ = ["Stats"]


class Stats:
    """What became of the searches."""

    def __init__(self) -> None:
        self._statuses: Counter[str] = Counter()
        self._sums: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()

    def told(self, status: str) -> None:
        """Counts a search that was told `status`."""
        self._statuses[status] += 1

    def outcome(self, outcome: Outcome) -> None:
        """Counts a search that went through the main path."""
        self.told(outcome.status)
        self._sums.update(candidates=outcome.candidates, cache_hits=outcome.cache_hits, tasks=outcome.tasks)
        timings = outcome.timings
        for part in ("engine", "cache", "queue", "score", "merge", "total"):
            self._seconds[part] += getattr(timings, f"{part}_s")

    def snapshot(self) -> dict[str, Any]:
        """The counts, as JSON takes them."""
        return {
            "searches": dict(self._statuses),
            **{name: self._sums[name] for name in ("candidates", "cache_hits", "tasks")},
            "seconds": {name: round(value, 6) for name, value in self._seconds.items()},
        }
