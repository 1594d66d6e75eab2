"""The seam between the main path and whatever scores: two small protocols and their result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from connector.contract import names
from connector.contract.errors import ScoringError

__all__ = ["Embedder", "Scored", "Scorer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """What came back before the deadline."""

    #: Raw model output for each document, in the order given; None where no score came.
    values: list[float | None]
    #: Documents whose score was stored before this request.
    cache_hits: int = 0
    #: Tasks sent for this request: 0 when everything was stored or already under way.
    tasks: int = 0
    #: Full fingerprint of the model; None where no worker ever announced the alias.
    fingerprint: str | None = None
    #: The model's name as its worker announced it.
    model: str | None = None
    #: Why `values` has gaps; None when it has none.
    failure: ScoringError | None = None
    #: Seconds: looking up, waiting in queues, in the model.
    cache_s: float = 0.0
    queue_s: float = 0.0
    score_s: float = 0.0


class Scorer(Protocol):
    """Scores documents against a query."""

    async def score(
        self,
        *,
        model: str,
        query: str,
        documents: Sequence[str],
        deadline: float,
        passages: str = "truncate",
        lane: names.Lane = names.INTERACTIVE,
    ) -> Scored:
        """Scores `documents`, none of them empty, against `query`.

        Never raises for a failure behind it: that is `Scored.failure`.

        Args:
            model: alias.
            deadline: instant of `time.monotonic()`.
        """
        ...


class Embedder(Protocol):
    """Embeds texts with a bi-encoder."""

    async def embed(
        self, texts: Sequence[str], *, deadline: float, model: str = "embed", lane: names.Lane = names.INTERACTIVE
    ) -> list[list[float]]:
        """One unit vector a text.

        Raises:
            ScoringError: one of its kinds; there are no partial answers.
        """
        ...
