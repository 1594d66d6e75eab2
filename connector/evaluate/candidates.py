"""A query's candidates with both scores, and the order that a window and a fusion make of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from connector import fusion
from connector.settings import Fusion

__all__ = ["PLAIN", "Candidates", "first_stage", "reranked"]

#: The cross-encoder's order, nothing blended in.
PLAIN = Fusion(method="none")


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidates:
    """What the first stage found for one query, best first."""

    query_id: str
    query: str
    #: Distinct document ids.
    ids: tuple[str, ...]
    #: The first stage's scores; None where it gave none.
    found: tuple[float | None, ...]
    #: The cross-encoder's raw outputs for the first of them; None for a document without text.
    scores: tuple[float | None, ...] = ()

    def order(self, window: int, blend: Fusion, *, pins: int = 0) -> list[str]:
        """The ids with the first `window` reranked as the main path does it, and the rest after them.

        Args:
            window: at most as many as are scored.
        """
        depth = min(window, len(self.ids))
        assert depth <= len(self.scores), "a window deeper than what was scored"
        ranked = fusion.rank(self.found[:depth], self.scores[:depth], blend, pins=pins)
        return [self.ids[hit.position] for hit in ranked] + list(self.ids[depth:])


def first_stage(candidates: Iterable[Candidates]) -> dict[str, list[str]]:
    """The run of the first stage alone."""
    return {each.query_id: list(each.ids) for each in candidates}


def reranked(candidates: Iterable[Candidates], window: int, blend: Fusion, *, pins: int = 0) -> dict[str, list[str]]:
    """The run with the first `window` of each query reranked."""
    return {each.query_id: each.order(window, blend, pins=pins) for each in candidates}
