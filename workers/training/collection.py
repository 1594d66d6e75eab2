"""What every input is read into: queries, graded passages, and the pool that negatives come from."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from connector.contract.errors import InputError

__all__ = ["Collection", "JudgedQuery", "TrainingList", "digest", "normalised", "require_positives"]


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedQuery:
    """A query and what is known about passages for it."""

    query: str
    #: Passage id → grade; 0 is a known negative.
    grades: Mapping[str, float]
    #: Passage id → a teacher's raw score, where the input has one.
    scores: Mapping[str, float] = field(default_factory=dict)
    #: Passages of which nobody can say whether they are relevant: neither trained on nor mined as negatives.
    undecided: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Collection:
    """One input, read and checked."""

    name: str
    #: Passage id → the text the model reads.
    passages: Mapping[str, str]
    queries: tuple[JudgedQuery, ...]
    #: Whether a held-out query is ranked over its first-stage candidates, or (click logs) over what was shown.
    retrieved: bool = True
    #: SHA-256 of every file read, by its path.
    digests: Mapping[str, str]
    #: What is worth keeping of how the input was read (the click model's propensities), for the run record.
    notes: Mapping[str, object] = field(default_factory=dict)

    @functools.cached_property
    def top_grade(self) -> float:
        """The highest grade given: what counts as fully relevant."""
        return max((grade for query in self.queries for grade in query.grades.values()), default=1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingList:
    """One query with passages to be ordered; `grades` and `scores` run along `passages`."""

    query: str
    passages: tuple[str, ...]
    grades: tuple[float, ...]
    #: The highest grade of the collection, so that grades of several collections can share one scale.
    top_grade: float = 1.0
    #: A teacher's raw scores; None where there is none.
    scores: tuple[float | None, ...] = ()
    #: How many of the passages, the last ones, were mined: nobody judged them.
    mined: int = 0


def digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise InputError(f"{path}: {exc.strerror or exc}") from exc


def normalised(text: str) -> str:
    """`text` with case and white space evened out: texts that agree in it are the same to a reader."""
    return " ".join(text.casefold().split())


def require_positives(collection: Collection) -> Collection:
    """`collection` without the queries that have no positive.

    Raises:
        InputError: nothing is left to train on.
    """
    kept = tuple(query for query in collection.queries if any(grade > 0 for grade in query.grades.values()))
    if not kept:
        raise InputError(f"{collection.name}: no positives: no query has a passage with a grade above 0")
    return replace(collection, queries=kept)
