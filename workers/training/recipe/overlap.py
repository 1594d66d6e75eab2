"""Keeps the evaluation sets out of the training pairs, by text: shared runs of eight words, equal queries."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workers.training.recipe.pool import Pair

__all__ = ["Evaluated", "Overlap", "overlaps", "read_evaluated"]

_WORD = re.compile(r"\w+")
_WIDTH = 8
#: A passage that shares this many different runs of eight words with the evaluation documents is left out: fewer
#: are licence lines and common phrases.
_LIMIT = 3
_PRIME = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What must not be trained on: hashes of all word runs of the documents (sorted), and the queries' words."""

    shingles: np.ndarray
    queries: frozenset[str]
    numbers: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """What was found in some pairs."""

    pairs: int
    #: Pairs whose passage shares at least one run of eight words with an evaluation document.
    sharing_any: int
    #: Positions of the pairs to leave out: at least three shared runs, or an evaluation query.
    excluded: tuple[int, ...]


def read_evaluated(root: Path) -> Evaluated:
    """Reads every BEIR folder under `root`."""
    numbers: dict[str, int] = {}
    documents = (f"{row.get('title', '')} {row['text']}" for row in _rows(root, "corpus.jsonl"))
    queries = frozenset(_plain(row["text"]) for row in _rows(root, "queries.jsonl"))
    return Evaluated(shingles=np.unique(_shingles(documents, numbers)[0]), queries=queries, numbers=numbers)


def overlaps(pairs: Sequence[Pair], evaluated: Evaluated) -> Overlap:
    """Compares every training pair with all evaluation texts."""
    hashes, owners = _shingles((f"{pair.title} {pair.text}" for pair in pairs), evaluated.numbers)
    places = np.searchsorted(evaluated.shingles, hashes).clip(max=len(evaluated.shingles) - 1)
    met = evaluated.shingles[places] == hashes
    met_once = np.unique(np.stack([owners[met].astype(np.uint64), hashes[met]]), axis=1)
    shared = np.bincount(met_once[0].astype(np.int64), minlength=len(pairs))
    asked = np.array([_plain(pair.query) in evaluated.queries for pair in pairs])
    excluded = tuple(int(row) for row in np.flatnonzero((shared >= _LIMIT) | asked))
    return Overlap(pairs=len(pairs), sharing_any=int((shared > 0).sum()), excluded=excluded)


def _rows(root: Path, name: str) -> Iterator[dict[str, str]]:
    for path in sorted(root.glob(f"*/{name}")):
        with path.open(encoding="utf-8") as lines:
            yield from (json.loads(line) for line in lines)


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


def _shingles(texts: Iterable[str], numbers: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """64-bit hashes of all runs of eight words and the text each is from; `numbers` gives each word one of its own."""
    ids = [[numbers.setdefault(word, len(numbers)) for word in _WORD.findall(text.lower())] for text in texts]
    owners = np.repeat(np.arange(len(ids)), [len(row) for row in ids])
    words = np.fromiter(itertools.chain.from_iterable(ids), dtype=np.uint64, count=len(owners))
    count = max(len(words) - _WIDTH + 1, 0)
    hashes = np.zeros(count, dtype=np.uint64)
    for place in range(_WIDTH):
        hashes = (hashes ^ words[place : place + count]) * _PRIME
        hashes ^= hashes >> np.uint64(29)
    inside = owners[:count] == owners[_WIDTH - 1 :][:count]
    return hashes[inside], owners[:count][inside]
