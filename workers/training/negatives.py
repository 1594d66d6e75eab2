"""Hard negatives: what a first stage ranks high although nobody judged it relevant, without the false ones."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workers.training.collection import Collection, JudgedQuery, TrainingList, normalised
from workers.training.retrieval import Candidate, Retriever

__all__ = ["Settings", "lists"]

_WORD = re.compile(r"\w+")
#: Passages that share so much of their words with a positive (Jaccard) are taken for a copy of it.
_COPY = 0.8


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How lists are put together."""

    #: Negatives in a list; judged ones first, then mined ones.
    negatives: int = 7
    #: Positives in a list: a query with more of them gives several lists.
    positives: int = 4
    #: How deep in each retriever's list negatives are looked for.
    depth: int = 50
    #: How many of the best candidates are passed over, where judgments are known to be sparse.
    skip: int = 0


def lists(
    collection: Collection,
    queries: Sequence[JudgedQuery],
    retrievers: Sequence[Retriever],
    settings: Settings,
    seed: int,
) -> Iterator[TrainingList]:
    """The training lists of `queries`; half of the mined negatives are the hardest, half drawn from the depth.

    Documents judged for a query are never mined for it: graded 0 they are in the list as they are, and above 0 they
    are positives. Neither is a copy of a positive.
    """
    found = _candidates(retrievers, [query.query for query in queries], settings)
    for query, candidates in zip(queries, found, strict=True):
        draw = random.Random(f"{seed} {normalised(query.query)}")
        yield from _lists(collection, query, candidates, settings, draw)


def _candidates(retrievers: Sequence[Retriever], queries: Sequence[str], settings: Settings) -> list[list[Candidate]]:
    """For each query the candidates of all retrievers, best of each in turn."""
    if not settings.negatives:
        return [[] for _ in queries]
    runs = [retriever.top(queries, settings.depth) for retriever in retrievers]
    return [_interleaved([run[row][settings.skip :] for run in runs]) for row in range(len(queries))]


def _interleaved(found: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    deepest = max(map(len, found), default=0)
    return [candidates[rank] for rank in range(deepest) for candidates in found if rank < len(candidates)]


def _lists(
    collection: Collection, query: JudgedQuery, candidates: Sequence[Candidate], settings: Settings, draw: random.Random
) -> Iterator[TrainingList]:
    positives = [name for name, grade in query.grades.items() if grade > 0]
    judged = [name for name, grade in query.grades.items() if grade == 0]
    usable = _usable(candidates, collection, query, positives)
    draw.shuffle(positives)
    for start in range(0, len(positives), settings.positives):
        chosen = positives[start : start + settings.positives]
        known = draw.sample(judged, min(settings.negatives, len(judged)))
        mined = _mined(usable, settings.negatives - len(known), draw)
        names = [*chosen, *known]
        yield TrainingList(
            query=query.query,
            passages=(*(collection.passages[name] for name in names), *mined),
            grades=(*(query.grades[name] for name in names), *(0.0 for _ in mined)),
            top_grade=collection.top_grade,
            scores=(*(query.scores.get(name) for name in names), *(None for _ in mined)),
            mined=len(mined),
        )


def _usable(
    candidates: Sequence[Candidate], collection: Collection, query: JudgedQuery, positives: Sequence[str]
) -> list[str]:
    """The texts of the candidates that are no judged passage and no copy of a positive, each once."""
    barred = query.undecided.union(query.grades)
    texts = {normalised(collection.passages[name]) for name in barred}
    originals = [_words(collection.passages[name]) for name in positives]
    kept: dict[str, str] = {}
    for candidate in candidates:
        key = normalised(candidate.text)
        if candidate.id in barred or key in texts or key in kept:
            continue
        if not any(_alike(_words(candidate.text), words) for words in originals):
            kept[key] = candidate.text
    return list(kept.values())


def _mined(usable: Sequence[str], count: int, draw: random.Random) -> list[str]:
    hardest = list(usable[: (count + 1) // 2])
    rest = usable[len(hardest) :]
    return [*hardest, *draw.sample(rest, min(count - len(hardest), len(rest)))]


@functools.lru_cache(maxsize=100_000)
def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    # Sets of sizes too far apart need no counting, and most are.
    if min(len(one), len(other)) < _COPY * max(len(one), len(other)):
        return False
    return len(one & other) >= _COPY * len(one | other) > 0
