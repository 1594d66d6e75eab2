"""The position-based click model (PBM), estimated by expectation–maximisation, and labels weighted by its inverse.

A document at position k is clicked if it is examined (probability θ_k, of the position alone) and attractive (α, of
query and document alone): Craswell et al., "An experimental comparison of click position-bias models", WSDM 2008; the
EM updates are those of Chuklin, Markov and de Rijke, "Click Models for Web Search", 2015. Labels are clicks weighted
by 1/θ_k: Joachims, Swaminathan and Schnabel, "Unbiased learning-to-rank with biased feedback", WSDM 2017, in the
self-normalised form clicks ÷ expected examinations, which keeps a single click far down from counting tenfold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Estimate", "Label", "View", "estimate", "labels"]

#: EM needs documents that were seen at different positions; with fewer such pairs of query and document the
#: propensities cannot be told from relevance.
_MOVED_PAIRS = 100
_ROUNDS = 50
#: η of (1/k)^η where the log does not tell: the one of Joachims et al.
_ETA = 1.0
#: No position counts as examined less often than this, so that no weight exceeds its inverse.
_FLOOR = 0.05
#: One imagined examination without a click, shared by all views of a pair: a lone click is no certainty.
_PRIOR = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One document on one result page."""

    #: Query and document.
    pair: tuple[str, str]
    #: 1-based.
    position: int
    clicked: bool
    #: How much the click is worth, in [0, 1]; 0 without a click.
    worth: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """What the clicks say about one document for one query."""

    pair: tuple[str, str]
    #: In [0, 1].
    value: float
    #: How many times the document was examined, by expectation.
    examinations: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Examination probabilities and where they come from."""

    #: Position → probability in (0, 1]; position 1, or the best seen, has 1.
    propensities: Mapping[int, float]
    #: "em" or "eta".
    method: str
    eta: float | None = None

    def describe(self) -> dict[str, object]:
        """The estimate for the run record."""
        rounded = {str(position): round(value, 4) for position, value in sorted(self.propensities.items())}
        return {"model": "position-based", "method": self.method, "eta": self.eta, "propensities": rounded}


def estimate(views: Sequence[View], eta: float | None = None) -> Estimate:
    """Propensities by EM, or (1/position)^η where `eta` is given or too few documents were seen at two positions."""
    positions = {view.position for view in views}
    if eta is None and _moved(views) >= _MOVED_PAIRS:
        return Estimate(propensities=_em(views), method="em")
    eta = _ETA if eta is None else eta
    fixed = {position: max(_FLOOR, position**-eta) for position in positions}
    return Estimate(propensities=fixed, method="eta", eta=eta)


def labels(views: Sequence[View], propensities: Mapping[int, float]) -> Iterator[Label]:
    """One label for each pair, in the order of first sight: the worth of its clicks ÷ (expected examinations + prior).

    A lone satisfied click at the top gives 0.5, a lone one at a position seen every tenth time 0.91, many views that
    were all clicked nearly 1.
    """
    worth: dict[tuple[str, str], float] = defaultdict(float)
    seen: dict[tuple[str, str], float] = defaultdict(float)
    for view in views:
        worth[view.pair] += view.worth
        seen[view.pair] += propensities[view.position]
    for pair, examinations in seen.items():
        yield Label(pair=pair, value=min(1.0, worth[pair] / (examinations + _PRIOR)), examinations=examinations)


def _moved(views: Sequence[View]) -> int:
    positions: dict[tuple[str, str], set[int]] = defaultdict(set)
    for view in views:
        positions[view.pair].add(view.position)
    return sum(len(found) > 1 for found in positions.values())


def _em(views: Sequence[View]) -> dict[int, float]:
    examined = {view.position: 0.5 for view in views}
    attractive = {view.pair: 0.5 for view in views}
    for _ in range(_ROUNDS):
        # Two imagined views, one of them a hit, keep every estimate off 0 and 1, where EM would stay for ever.
        position_sums = {position: [1.0, 2.0] for position in examined}
        pair_sums = {pair: [1.0, 2.0] for pair in attractive}
        for view in views:
            theta, alpha = examined[view.position], attractive[view.pair]
            neither = 1.0 - theta * alpha
            seen = 1.0 if view.clicked else theta * (1.0 - alpha) / neither
            liked = 1.0 if view.clicked else alpha * (1.0 - theta) / neither
            _add(position_sums[view.position], seen)
            _add(pair_sums[view.pair], liked)
        examined = {position: hits / total for position, (hits, total) in position_sums.items()}
        attractive = {pair: hits / total for pair, (hits, total) in pair_sums.items()}
    best = max(examined.values(), default=1.0)
    return {position: max(_FLOOR, value / best) for position, value in examined.items()}


def _add(sums: list[float], value: float) -> None:
    sums[0] += value
    sums[1] += 1.0
