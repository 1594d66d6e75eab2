"""The pool: crops of the training passages and queries made of them (headings, titles, sentences)."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Pair", "Pool", "build", "read_pairs"]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])")
_PUNCTUATION = re.compile(r"[^\w\s]+")

#: Words of a passage, drawn evenly between the two, and how often: sentences, paragraphs, abstracts.
_CROPS = (((12, 40), 0.30), ((40, 90), 0.35), ((90, 190), 0.35))
#: How often a query is a heading, the page's title, one sentence or two sentences of the passage.
_KINDS = (("heading", 0.50), ("title", 0.05), ("sentence", 0.35), ("sentences", 0.10))
#: A query sentence stays in its passage this often, so that exact matches are seen too.
_KEEP_SENTENCE = 0.25
_TITLE_SHARE = 0.5
_BARE_SHARE = 0.15


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One line of the training pairs."""

    query: str
    title: str
    text: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Passages and, for each query, the position of the passage that it was made with."""

    passages: tuple[str, ...]
    queries: tuple[str, ...]
    labels: tuple[int, ...]


def read_pairs(path: Path) -> list[Pair]:
    """All pairs of a gzipped JSON-lines file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [Pair(**json.loads(line)) for line in lines]


def build(pairs: Sequence[Pair], *, excluded: Collection[int] = (), passages: int, queries: int, seed: int) -> Pool:
    """A pool of `passages` crops, sources weighted by the square root of their size; the first `queries` of them ask.

    The pairs numbered in `excluded` are drawn like the others and then left out.
    """
    rng = random.Random(seed)
    chosen = _sample(pairs, passages, rng)
    made = [example for row, example in ((row, _example(pairs[row], rng)) for row in chosen) if row not in excluded]
    asked = [(query, row) for row, (query, _) in enumerate(made) if len(query.split()) > 1][:queries]
    return Pool(
        passages=tuple(passage for _, passage in made),
        queries=tuple(query for query, _ in asked),
        labels=tuple(row for _, row in asked),
    )


def _sample(pairs: Sequence[Pair], count: int, rng: random.Random) -> list[int]:
    """Positions by weighted sampling without replacement (Efraimidis and Spirakis 2006: the largest u^(1/weight))."""
    sizes = Counter(pair.source for pair in pairs)
    keys = [rng.random() ** (sizes[pair.source] ** 0.5) for pair in pairs]
    order = sorted(range(len(pairs)), key=keys.__getitem__, reverse=True)
    return order[:count]


def _example(pair: Pair, rng: random.Random) -> tuple[str, str]:
    kind = rng.choices([name for name, _ in _KINDS], [share for _, share in _KINDS])[0]
    query, body = _query(pair, kind, rng)
    title = pair.title if pair.title and pair.title != query and rng.random() < _TITLE_SHARE else ""
    if rng.random() < _BARE_SHARE:
        query = " ".join(_PUNCTUATION.sub(" ", query).lower().split())
    return query, f"{title} {_crop(body, rng)}".strip()


def _query(pair: Pair, kind: str, rng: random.Random) -> tuple[str, str]:
    """The query and what is left of the passage's body."""
    sentences = [s for s in _SENTENCE_END.split(pair.text) if s.strip()]
    if kind == "title" and pair.title:
        return pair.title, pair.text
    count = 2 if kind == "sentences" else 1
    if kind in {"heading", "title"} or len(sentences) <= count + 1:
        return pair.query, pair.text
    first = 0 if rng.random() < 0.4 else rng.randrange(len(sentences) - count + 1)
    query = " ".join(" ".join(sentences[first : first + count]).split()[:40])
    if rng.random() < _KEEP_SENTENCE:
        return query, pair.text
    return query, " ".join(sentences[:first] + sentences[first + count :])


def _crop(text: str, rng: random.Random) -> str:
    """Whole sentences of about the drawn number of words, from the start or from a later sentence."""
    low, high = rng.choices([span for span, _ in _CROPS], [share for _, share in _CROPS])[0]
    wanted = rng.randint(low, high)
    sentences = _SENTENCE_END.split(text)
    first = 0 if rng.random() < 0.6 else rng.randrange(len(sentences))
    words = " ".join(sentences[first:]).split()
    if len(words) < min(wanted, 12):
        words = text.split()
    return " ".join(words[:wanted])
