"""Is the difference more than chance? Student's t-test, paired over the queries, with its confidence interval.

Smucker, Allan and Carterette ("A comparison of statistical significance tests for information retrieval evaluation",
CIKM 2007) found its verdicts on mean differences to agree with those of the randomisation test and the bootstrap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["ALPHA", "Comparison", "compare"]

ALPHA = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One metric of two runs over the same queries."""

    queries: int
    #: Mean of (after − before) and its 95 % confidence interval.
    difference: float
    low: float
    high: float
    #: Two-sided.
    p: float
    wins: int
    losses: int
    ties: int

    @property
    def significant(self) -> bool:
        """Whether chance is an unlikely explanation, at 5 %."""
        return self.p < ALPHA

    def summary(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "test": "paired t-test, two-sided",
            "confidence": 1 - ALPHA,
            **asdict(self),
            "significant": self.significant,
        }


def compare(before: Mapping[str, float], after: Mapping[str, float]) -> Comparison:
    """Compares two runs query by query.

    Differences that are all the same leave nothing to test, nor does a single query: then the interval is the
    difference itself, and p is 1, or 0 where several queries agree on a difference that is not zero.
    """
    from scipy import stats

    differences = [after[query] - before[query] for query in before]
    count, mean = len(differences), sum(differences) / len(differences)
    if max(differences) == min(differences):
        p, low, high = (0.0 if count > 1 and mean else 1.0), mean, mean
    else:
        test = stats.ttest_1samp(differences, 0.0)
        p, (low, high) = float(test.pvalue), test.confidence_interval(1 - ALPHA)
    return Comparison(
        queries=count,
        difference=mean,
        low=float(low),
        high=float(high),
        p=p,
        wins=sum(difference > 0 for difference in differences),
        losses=sum(difference < 0 for difference in differences),
        ties=sum(difference == 0 for difference in differences),
    )
