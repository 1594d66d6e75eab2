"""Scores to a new order, and an order to what is written: JSON lines, TREC lines, documents of an index. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from connector import fusion
from connector.jobs.items import Document
from connector.jobs.spec import Method
from connector.settings import Fusion

__all__ = ["Answer", "Placed", "json_line", "order", "trec_lines", "upsert"]

#: The smallest difference that TREC lines show.
_STEP = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A document in its new place."""

    document: Document
    #: The cross-encoder's raw output; None where it has no text, or lies beyond the window.
    score: float | None
    #: What it was sorted by; None where nothing was.
    value: float | None
    #: Place in the input, from 1.
    first: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A query with its documents, best first."""

    id: str
    query: str
    placed: tuple[Placed, ...]


def order(
    identity: str, query: str, documents: Sequence[Document], scores: Sequence[float | None], method: Method
) -> Answer:
    """The documents in their new order.

    Those without a score keep their slot; those beyond the scores stay below, as they came. Where no document has a
    first-stage score, the input's order means nothing, and the cross-encoder decides alone.
    """
    first = [document.score for document in documents[: len(scores)]]
    blend = Fusion(method=method if any(score is not None for score in first) else "none")
    placed = [
        Placed(
            document=documents[ranked.position],
            score=ranked.score,
            # A sigmoid of two large scores may be the same number.
            value=ranked.score if blend.method == "none" or ranked.score is None else ranked.value,
            first=ranked.position + 1,
        )
        for ranked in fusion.rank(first, scores, blend)
    ]
    placed += [
        Placed(document=documents[place], score=None, value=None, first=place + 1)
        for place in range(len(scores), len(documents))
    ]
    return Answer(id=identity, query=query, placed=tuple(placed))


def json_line(answer: Answer, *, texts: bool) -> bytes:
    """`{"id", "query", "results": [{"id", "score", "first_rank", "first_score"?, "text"?}]}` and a line feed."""
    return msgspec.json.encode(_values(answer, texts=texts)) + b"\n"


def trec_lines(answer: Answer, tag: str) -> bytes:
    """A line a document, with scores that fall from line to line: tools that sort by score read the order meant."""
    rows = zip(answer.placed, _falling(answer.placed), strict=True)
    return b"".join(
        f"{answer.id} Q0 {placed.document.id} {rank} {value:.6f} {tag}\n".encode()
        for rank, (placed, value) in enumerate(rows, start=1)
    )


def upsert(answer: Answer, *, job: str) -> bytes:
    """The document of an index that holds this answer, without its id, which is the query's."""
    values = _values(answer, texts=False)
    return msgspec.json.encode({"query": values["query"], "results": values["results"], "job": job})


def _values(answer: Answer, *, texts: bool) -> dict[str, Any]:
    return {
        "id": answer.id,
        "query": answer.query,
        "results": [
            {"id": placed.document.id, "score": placed.score, "first_rank": placed.first}
            | ({} if placed.document.score is None else {"first_score": placed.document.score})
            | ({"text": placed.document.text} if texts else {})
            for placed in answer.placed
        ],
    }


def _falling(placed: Sequence[Placed]) -> Iterator[float]:
    below: float | None = None
    for each in placed:
        value = round(each.value, 6) if each.value is not None else 0.0 if below is None else below - _STEP
        if below is not None and value >= below:
            value = below - _STEP
        below = round(value, 6)
        yield below
