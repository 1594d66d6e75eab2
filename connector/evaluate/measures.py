"""Metrics by name, all of them computed by ir_measures."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connector.evaluate.judgments import Grades
from connector.evaluate.runs import Run

__all__ = ["MAIN", "NAMES", "Judge", "Measured"]

MAIN = "ndcg@10"
#: Our names, as programs read them, and those of ir_measures. A document is relevant from grade 1 on.
NAMES: Mapping[str, str] = {
    MAIN: "nDCG@10",
    "mrr@10": "RR@10",
    "map": "AP",
    "p@5": "P@5",
    "recall@100": "R@100",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A run's figures: metric → query id → value, in the order of the judged queries."""

    by_query: Mapping[str, Mapping[str, float]]

    @property
    def means(self) -> dict[str, float]:
        """The mean of each metric over the queries."""
        return {name: statistics.fmean(values.values()) for name, values in self.by_query.items()}


class Judge:
    """Measures any number of runs against one set of judgments. A query that a run does not answer counts as zero."""

    def __init__(self, grades: Grades, names: tuple[str, ...] = tuple(NAMES)) -> None:
        import ir_measures

        self._queries = list(grades)
        self._names = {ir_measures.parse_measure(NAMES[name]): name for name in names}
        self._evaluator: Any = ir_measures.evaluator(list(self._names), {q: dict(d) for q, d in grades.items()})

    def measure(self, run: Run) -> Measured:
        """Each metric of `run`, query by query."""
        # By place, not by score: ir_measures breaks ties by document id, which nobody was shown.
        placed = {query: {d: float(-place) for place, d in enumerate(run.get(query, ()))} for query in self._queries}
        values: dict[str, dict[str, float]] = {name: dict.fromkeys(self._queries, 0.0) for name in self._names.values()}
        for metric in self._evaluator.iter_calc(placed):
            values[self._names[metric.measure]][metric.query_id] = metric.value
        return Measured(by_query=values)
