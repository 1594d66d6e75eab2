"""What a first stage is to the training: queries in, candidates out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Candidate", "Retriever"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A passage that a first stage found."""

    #: The document's id in the index that was searched.
    id: str
    text: str


class Retriever(Protocol):
    """BM25 in memory, or BM25 or kNN of a running engine."""

    def top(self, queries: Sequence[str], depth: int) -> list[list[Candidate]]:
        """The best `depth` candidates for each query, best first."""
