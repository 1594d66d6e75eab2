"""Every window and every fusion from one pass of scores, and the best of them. Pure, but for ir_measures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connector.evaluate import candidates, measures
from connector.evaluate.candidates import PLAIN, Candidates
from connector.evaluate.judgments import Grades
from connector.settings import Fusion

__all__ = ["FUSIONS", "WINDOWS", "Point", "Setting", "Sweep", "grid", "label", "sweep"]

WINDOWS = (10, 20, 50, 100, 200)
_WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
#: Tried at the window asked for.
FUSIONS: tuple[Fusion, ...] = (
    PLAIN,
    *(Fusion(method="rrf", weight=weight) for weight in (0.3, 0.5, 0.7)),
    *(Fusion(method="minmax", weight=weight) for weight in _WEIGHTS),
    *(Fusion(method="zscore", weight=weight) for weight in _WEIGHTS),
)
_RRF = Fusion(method="rrf")
#: nDCG@10 sees no further.
_SEEN = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What a policy could say."""

    window: int
    fusion: Fusion

    @property
    def label(self) -> str:
        """As "window 100, minmax 0.6"."""
        return f"window {self.window}, {label(self.fusion)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A setting and its nDCG@10, query by query."""

    setting: Setting
    by_query: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Over the queries."""
        return statistics.fmean(self.by_query.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """All settings that were tried, in the order of windows and fusions."""

    points: tuple[Point, ...]

    @property
    def best(self) -> Point:
        """The highest mean; the smallest window, then the plainest fusion, among equals."""
        return max(self.points, key=lambda point: round(point.mean, 6))

    @property
    def held_out(self) -> float:
        """What choosing the best setting is worth on queries that it was not chosen on.

        Two folds, every other query in each: chosen on one and measured on the other, both ways. The best setting's own
        mean flatters, for it was chosen for it.
        """
        queries = sorted(self.points[0].by_query)
        folds = (queries[::2], queries[1::2])
        if not folds[1]:
            return self.best.mean
        values: list[float] = []
        for chosen_on, measured_on in (folds, folds[::-1]):
            chosen = max(self.points, key=lambda point: _total(point, chosen_on))
            values += map(chosen.by_query.__getitem__, measured_on)
        return statistics.fmean(values)

    def at(self, *, window: int | None = None, fusion: Fusion | None = None) -> list[Point]:
        """The points of one window or one fusion."""
        return [
            point
            for point in self.points
            if window in (None, point.setting.window) and fusion in (None, point.setting.fusion)
        ]

    def summary(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "metric": measures.MAIN,
            "best": {**_row(self.best), "held_out": self.held_out},
            "points": [_row(point) for point in self.points],
        }


def sweep(items: Sequence[Candidates], grades: Grades, settings: Iterable[Setting]) -> Sweep:
    """Measures every setting.

    Args:
        settings: none with a window deeper than what was scored.
    """
    judge = measures.Judge(grades, (measures.MAIN,))
    points = []
    for setting in dict.fromkeys(settings):
        # Nothing below the window can rise above it, so a window of ten or more decides what nDCG@10 sees.
        cut = [_cut(item, max(setting.window, _SEEN)) for item in items]
        orders = candidates.reranked(cut, setting.window, setting.fusion)
        measured = judge.measure({query: order[:_SEEN] for query, order in orders.items()})
        points.append(Point(setting=setting, by_query=measured.by_query[measures.MAIN]))
    return Sweep(points=tuple(points))


def grid(window: int, windows: Sequence[int], default: Fusion) -> list[Setting]:
    """The settings worth trying: every fusion at `window`; plain, RRF and the `default` fusion at each of `windows`."""
    few = (PLAIN, _RRF, default)
    settings = [Setting(window=each, fusion=fusion) for each in sorted({*windows, window}) for fusion in few]
    return list(dict.fromkeys(settings + [Setting(window=window, fusion=fusion) for fusion in FUSIONS]))


def _cut(item: Candidates, depth: int) -> Candidates:
    return replace(item, ids=item.ids[:depth], found=item.found[:depth], scores=item.scores[:depth])


def label(fusion: Fusion) -> str:
    """As "plain", "rrf 0.5" or "minmax 0.6": the weight is the cross-encoder's share."""
    return "plain" if fusion.method == "none" else f"{fusion.method} {fusion.weight:g}"


def _row(point: Point) -> dict[str, Any]:
    fusion = point.setting.fusion
    return {
        "window": point.setting.window,
        "fusion": {"method": fusion.method, "weight": fusion.weight},
        measures.MAIN: point.mean,
    }


def _total(point: Point, queries: Sequence[str]) -> float:
    return math.fsum(point.by_query[query] for query in queries)
