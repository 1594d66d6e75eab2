"""Reads items from a TREC run (`query Q0 document rank score tag`), whose lines of one query stand together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import BinaryIO

from connector.jobs import inputs
from connector.jobs.items import UNKNOWN_TOKENS, Bad, Document, Item

__all__ = ["read"]

_COLUMNS = 6


def read(file: BinaryIO, *, line: int, offset: int, window: int | None) -> Iterator[Item | Bad]:
    """The queries of `file`, which stands at byte `offset` after `line` lines, each with its documents by rank.

    The items have no query text and their documents no text: both are looked up.
    """
    group = _Group("", line)
    for each in inputs.lines(file, line=line, offset=offset):
        row = _row(each)
        if isinstance(row, Bad):
            yield row
            continue
        query, rank, document = row
        if query != group.query:
            if group.rows:
                yield group.item(window)
            group = _Group(query, each.number)
        if document.id in group.rows:
            yield Bad(line=each.number, problem=f"document {document.id!r} is there twice for query {query!r}")
        else:
            group.rows[document.id] = (-(document.score or 0.0), rank, document)
        group.last, group.end = each.number, each.end
    if group.rows:
        yield group.item(window)


class _Group:
    """Lines of one query."""

    def __init__(self, query: str, line: int) -> None:
        self.query, self.line, self.last, self.end = query, line, line, 0
        self.rows: dict[str, tuple[float, float, Document]] = {}

    def item(self, window: int | None) -> Item:
        """Documents by score, equal scores by rank, as the system that wrote the run meant them."""
        ordered = sorted(self.rows.values(), key=lambda row: row[:2])
        scored = min(len(ordered), window or len(ordered))
        return Item(
            id=self.query, query="", documents=tuple(document for _, _, document in ordered),
            cost=scored * UNKNOWN_TOKENS, line=self.line, last=self.last, end=self.end,
        )  # fmt: skip


def _row(line: inputs.Line) -> tuple[str, float, Document] | Bad:
    try:
        columns = (line.data or b"").decode().split()
    except UnicodeDecodeError as exc:
        return Bad(line=line.number, problem=f"not UTF-8 at byte {exc.start + 1}")
    if len(columns) != _COLUMNS:
        return Bad(line=line.number, problem=f"{len(columns)} columns: a run line is query Q0 document rank score tag")
    query, _, document, rank, score, _ = columns
    try:
        numbers = float(rank), float(score)
    except ValueError:
        numbers = math.nan, math.nan
    if not all(map(math.isfinite, numbers)):
        return Bad(line=line.number, problem=f"rank {rank!r} and score {score!r} are not both numbers")
    return query, numbers[0], Document(id=document, score=numbers[1], line=line.number)
