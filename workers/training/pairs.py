"""Query–passage pairs as JSON lines: `query`, `text` (or `positive`), and optionally title, negatives and scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from connector.contract.errors import InputError
from workers.training import rows
from workers.training.collection import Collection, JudgedQuery, digest, normalised, require_positives

__all__ = ["read"]


class _Pool:
    """Passages named by the order in which they were first met; the same text has one id."""

    def __init__(self) -> None:
        self.passages: dict[str, str] = {}
        self._ids: dict[str, str] = {}

    def add(self, text: str) -> str:
        key = normalised(text)
        name = self._ids.setdefault(key, f"pair:{len(self._ids)}")
        self.passages.setdefault(name, text)
        return name


def read(path: Path) -> Collection:
    """The pairs of `path`; lines with the same query become one query with several positives.

    A negative is a text, or an object with `text` and optionally `title` and `score`.

    Raises:
        InputError: a line that cannot be used (file and line are named), or a file without pairs.
    """
    pool = _Pool()
    queries: dict[str, tuple[str, dict[str, float], dict[str, float]]] = {}
    for row in rows.read(path):
        query = row.text("query")
        _, grades, scores = queries.setdefault(normalised(query), (query, {}, {}))
        positive = pool.add(rows.passage(row.optional_text("title"), row.text("text", "positive")))
        if grades.get(positive) == 0:
            raise row.error("this passage was a negative of the same query before")
        grades[positive] = 1.0
        _keep(scores, positive, row.number("score"))
        for text, score in _negatives(row):
            negative = pool.add(text)
            if grades.get(negative):
                raise row.error("a negative is also a positive of this query")
            grades[negative] = 0.0
            _keep(scores, negative, score)
    if not queries:
        raise InputError(f"{path}: no pairs in it")
    return require_positives(
        Collection(
            name=path.name,
            passages=pool.passages,
            queries=tuple(JudgedQuery(query=query, grades=g, scores=s) for query, g, s in queries.values()),
            digests={str(path): digest(path)},
        )
    )


def _negatives(row: rows.Row) -> Iterator[tuple[str, float | None]]:
    for value in row.objects("negatives"):
        fields = {"text": value} if isinstance(value, str) else value
        if not isinstance(fields, dict):
            raise row.error('a negative must be a text or an object with "text"')
        negative = rows.Row(path=row.path, line=row.line, fields=fields)
        yield rows.passage(negative.optional_text("title"), negative.text("text")), negative.number("score")


def _keep(scores: dict[str, float], name: str, score: float | None) -> None:
    if score is not None:
        scores[name] = score
