"""Where a key stands in a TOML document: the parser of the standard library does not say. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

__all__ = ["find"]

Path = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_\-.\"' \t]+?)\s*=")


def find(text: str, path: Sequence[str | int]) -> int:
    """The 1-based line of `path` (keys, and positions in arrays of tables), or of the nearest table around it.

    Keys inside inline tables and multi-line values are found by the line where the value begins.
    """
    wanted = tuple(path)
    best, best_line = 0, 1
    for line, at in _lines(text):
        shared = _shared(at, wanted)
        if shared > best:
            best, best_line = shared, line
    return best_line


def _lines(text: str) -> Iterator[tuple[int, Path]]:
    """Every line that names a path."""
    table: Path = ()
    counts: dict[Path, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _placed(_keys(header[2]), counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            yield number, table
        elif key := _KEY.match(line):
            yield number, table + _keys(key[1])


def _placed(keys: Path, counts: dict[Path, int]) -> Path:
    """`index.text` inside the third `[[index]]` is ("index", 2, "text")."""
    placed: Path = ()
    for i, key in enumerate(keys):
        placed = (*placed, key)
        if placed in counts and i < len(keys) - 1:
            placed = (*placed, counts[placed])
    return placed


def _keys(dotted: str) -> Path:
    return tuple(key.strip().strip("\"'") for key in dotted.split("."))


def _shared(one: Path, other: Path) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
