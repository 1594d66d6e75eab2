"""Ranked lists into one: the window's new order from two scores a hit, and RRF of several first stages. Pure.

Sources: reciprocal rank fusion, Cormack, Clarke and Büttcher, SIGIR 2009 (1 / (k + rank), k = 60); linear combination
after min-max or z-score normalisation, as surveyed by Bruch, Gai and Ingber, "An Analysis of Fusion Functions for
Hybrid Retrieval", TOIS 2023.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from connector.settings import Fusion

__all__ = ["Ranked", "rank", "rrf", "sigmoid"]

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """A hit in its new place."""

    #: Place in the engine's list, from 0.
    position: int
    #: Raw output of the cross-encoder; None where it could not be scored.
    score: float | None
    #: What `scores: rerank` shows: finite, non-negative, never rising along the list.
    value: float


def rank(
    first_stage: Sequence[float | None], scores: Sequence[float | None], fusion: Fusion, *, pins: int = 0
) -> list[Ranked]:
    """The new order of a window.

    The first `pins` hits and those without a score keep their slot; they show the value of the hit above. Ties keep
    the first stage's order.

    Args:
        first_stage: the engine's scores, in its order; None where it gave none.
        scores: the cross-encoder's raw outputs for the same hits; None where there is none.
    """
    movable = [i for i in range(pins, len(scores)) if scores[i] is not None]
    new = [float(scores[i] or 0.0) for i in movable]
    old = _scores_or_ranks([first_stage[i] for i in movable])
    keys, shown = _METHODS[fusion.method](old, new, fusion)
    order = sorted(range(len(movable)), key=lambda n: (-keys[n], movable[n]))
    arriving = iter(order)
    ranked: list[Ranked] = []
    above = shown[order[0]] if order else 0.0
    places = set(movable)
    for slot in range(len(scores)):
        if slot in places:
            n = next(arriving)
            above = shown[n]
            ranked.append(Ranked(position=movable[n], score=new[n], value=above))
        else:
            ranked.append(Ranked(position=slot, score=scores[slot], value=above))
    return ranked


def rrf(runs: Sequence[Sequence[K]], *, k: int = 60, weights: Sequence[float] | None = None) -> list[tuple[K, float]]:
    """Fuses ranked lists of identities; the best first. Ties keep the order in which the identities first appear."""
    fused: dict[K, float] = {}
    for run, weight in zip(runs, weights or [1.0] * len(runs), strict=True):
        for place, identity in enumerate(run, start=1):
            fused[identity] = fused.get(identity, 0.0) + weight / (k + place)
    return sorted(fused.items(), key=lambda item: -item[1])


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x), without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


#: (first-stage scores, cross-encoder scores, fusion) → (sort keys, shown values); all lists of one length.
_Method = Callable[[list[float], list[float], Fusion], tuple[list[float], list[float]]]


def _plain(_old: list[float], new: list[float], _fusion: Fusion) -> tuple[list[float], list[float]]:
    # Sorted by the raw score: the sigmoid of two large ones may be the same number.
    return new, [sigmoid(score) for score in new]


def _rrf(old: list[float], new: list[float], fusion: Fusion) -> tuple[list[float], list[float]]:
    keys = [
        fusion.weight / (fusion.rrf_k + theirs) + (1 - fusion.weight) / (fusion.rrf_k + engines)
        for theirs, engines in zip(_places(new), _places(old), strict=True)
    ]
    return keys, keys


def _minmax(old: list[float], new: list[float], fusion: Fusion) -> tuple[list[float], list[float]]:
    keys = _blend(_scaled(old), _scaled(new), fusion.weight)
    return keys, keys


def _zscore(old: list[float], new: list[float], fusion: Fusion) -> tuple[list[float], list[float]]:
    keys = _blend(_standardised(old), _standardised(new), fusion.weight)
    return keys, [sigmoid(key) for key in keys]


_METHODS: dict[str, _Method] = {"none": _plain, "rrf": _rrf, "minmax": _minmax, "zscore": _zscore}


def _blend(old: list[float], new: list[float], weight: float) -> list[float]:
    return [weight * theirs + (1 - weight) * engines for theirs, engines in zip(new, old, strict=True)]


def _scores_or_ranks(first_stage: Sequence[float | None]) -> list[float]:
    """The engine's scores, or, where it gave none, falling numbers that say the same as its order."""
    given = [score for score in first_stage if score is not None]
    return given if len(given) == len(first_stage) else [float(-place) for place in range(len(first_stage))]


def _places(scores: list[float]) -> list[int]:
    order = sorted(range(len(scores)), key=lambda n: (-scores[n], n))
    places = [0] * len(scores)
    for place, n in enumerate(order, start=1):
        places[n] = place
    return places


def _scaled(scores: list[float]) -> list[float]:
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    return [(score - low) / (high - low) if high > low else 0.5 for score in scores]


def _standardised(scores: list[float]) -> list[float]:
    mean = statistics.fmean(scores) if scores else 0.0
    # Not statistics.pstdev: its exact fractions cost more than everything else here.
    deviation = math.sqrt(statistics.fmean((score - mean) ** 2 for score in scores)) if scores else 0.0
    return [(score - mean) / deviation if deviation else 0.0 for score in scores]
