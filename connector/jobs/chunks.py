"""The input in pieces of about equal cost. Pure: the same input gives the same chunks, from whatever chunk on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from connector.jobs.items import Bad, Item

__all__ = ["Chunk", "Place", "cut"]

#: Items of a chunk at most, however short they are: they are held in memory together.
_MOST_ITEMS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A chunk's beginning: its number, the offset in bytes, and the lines before it."""

    chunk: int = 0
    offset: int = 0
    line: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """Consecutive items, with the bad lines among them, and where the next chunk begins."""

    number: int
    items: tuple[Item, ...]
    bad: tuple[Bad, ...]
    after: Place


def cut(entries: Iterable[Item | Bad], *, tokens: int, start: Place) -> Iterator[Chunk]:
    """Cuts where a chunk's cost has reached `tokens`. An item is never divided. Bad lines after the last item come in
    a chunk without items."""
    number, after = start.chunk, start
    items: list[Item] = []
    bad: list[Bad] = []
    cost = 0
    for entry in entries:
        if isinstance(entry, Bad):
            bad.append(entry)
            continue
        items.append(entry)
        cost += entry.cost
        if cost >= tokens or len(items) >= _MOST_ITEMS:
            after = Place(chunk=number + 1, offset=entry.end, line=entry.last)
            yield Chunk(number=number, items=tuple(items), bad=tuple(bad), after=after)
            number, items, bad, cost = number + 1, [], [], 0
    if items or bad:
        end, last = (items[-1].end, items[-1].last) if items else (after.offset, after.line)
        after = Place(chunk=number + 1, offset=end, line=last)
        yield Chunk(number=number, items=tuple(items), bad=tuple(bad), after=after)
