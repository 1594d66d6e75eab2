"""Real pairs that an export is calibrated and checked on: the user's, or the docstrings of Python's library."""

from __future__ import annotations

import ast
import random
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from connector.contract.errors import InputError
from workers.training import beir, held_out, lexical, pairs
from workers.training.collection import Collection, JudgedQuery
from workers.training.held_out import HeldOutQuery

__all__ = ["Sample", "docstrings", "draw", "read"]

_MODULES = 120
_LEAST_WORDS = 20
_CALIBRATION = 24


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Queries with their BM25 candidates, parted: no query that is checked was calibrated on."""

    calibration: tuple[HeldOutQuery, ...]
    check: tuple[HeldOutQuery, ...]
    #: Whether the judgments are judges', so that nDCG@10 decides; else the overlap of the top 10 does.
    judged: bool
    name: str


def read(data: Path | None, split_name: str, file: Path | None) -> tuple[Collection, bool]:
    """The collection to draw from, and whether it was judged: a BEIR folder, a file of pairs, or else docstrings."""
    if data is not None:
        return beir.read(data, split_name), True
    return (docstrings() if file is None else pairs.read(file)), False


def draw(collection: Collection, *, judged: bool, queries: int, window: int, seed: int) -> Sample:
    """`queries` seeded queries to check, others to calibrate on, each with its BM25 top `window`.

    Raises:
        InputError: there are not enough queries for both.
    """
    known = len(collection.queries)
    if known < 4:
        raise InputError(f"{collection.name}: {known} queries are too few to calibrate on some and check on others")
    order = list(collection.queries)
    random.Random(seed).shuffle(order)
    calibration = order[: min(_CALIBRATION, len(order) // 2)]
    check = order[len(calibration) :][:queries]
    index = lexical.Index(collection.passages)
    return Sample(
        calibration=tuple(_with_candidates(collection, calibration, index, window)),
        check=tuple(_with_candidates(collection, check, index, window)),
        judged=judged,
        name=collection.name,
    )


def _with_candidates(
    collection: Collection, queries: Sequence[JudgedQuery], index: lexical.Index, window: int
) -> Iterator[HeldOutQuery]:
    for item in held_out.queries(collection, queries, index, window):
        if item.passages:
            yield item


def docstrings() -> Collection:
    """The first line of each longer docstring as a query, the rest of it as its passage; nothing is imported."""
    passages: dict[str, str] = {}
    queries: list[JudgedQuery] = []
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.glob("*.py"))[:_MODULES]:
        for number, text in enumerate(_docstrings(path)):
            head, _, body = text.partition("\n")
            name = f"{path.stem}:{number}"
            if len(body.split()) >= _LEAST_WORDS and head.strip():
                passages[name] = " ".join(body.split())
                queries.append(JudgedQuery(query=head.strip(), grades={name: 1.0}))
    return Collection(name="docstrings of Python's library", passages=passages, queries=tuple(queries), digests={})


def _docstrings(path: Path) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""
