"""Scores kept in the process: least recently used queries go first. Content-addressed, so never stale."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

__all__ = ["LocalScores"]


class LocalScores:
    """Scores by cache key and document field, at most `capacity` of them."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._size = 0
        self._queries: OrderedDict[str, dict[bytes, float]] = OrderedDict()

    def __len__(self) -> int:
        return self._size

    def get(self, key: str, fields: Sequence[bytes]) -> list[float | None]:
        """The kept scores of `fields`, None where there is none."""
        query = self._queries.get(key)
        if query is None:
            return [None] * len(fields)
        self._queries.move_to_end(key)
        return [query.get(field) for field in fields]

    def put(self, key: str, scores: dict[bytes, float]) -> None:
        """Keeps `scores`; what is there already stays, as it does in Redis."""
        if not scores:
            return  # an entry without scores would count for nothing, and so never go
        query = self._queries.setdefault(key, {})
        self._queries.move_to_end(key)
        before = len(query)
        for field, value in scores.items():
            query.setdefault(field, value)
        self._size += len(query) - before
        while self._size > self._capacity and self._queries:
            _, dropped = self._queries.popitem(last=False)
            self._size -= len(dropped)
