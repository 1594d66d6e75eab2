"""What an evaluation found: the three runs' figures, whether the difference is more than chance, sweep and latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.evaluate import candidates, measures, significance, sweep
from connector.evaluate.beir import Topics
from connector.evaluate.candidates import PLAIN, Candidates
from connector.evaluate.collect import Collected
from connector.evaluate.latency import Latency
from connector.evaluate.measures import Measured
from connector.evaluate.runs import Run
from connector.evaluate.significance import Comparison
from connector.evaluate.sweep import Sweep
from connector.settings import Policy

__all__ = ["About", "Change", "Result", "judge"]


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What was evaluated."""

    #: Name of the collection or index, and of the first stage.
    data: str
    first_stage: str
    policy: Policy
    #: Windows of the sweep.
    windows: tuple[int, ...]
    #: What searching and scoring took, all queries together.
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What the default policy did to one query."""

    candidates: Candidates
    #: nDCG@10.
    before: float
    after: float
    #: (document, grade, place before, place after) of the relevant candidates, best grade first; places from 1.
    moves: tuple[tuple[str, int, int, int], ...]
    #: What now stands first.
    top: str

    @property
    def difference(self) -> float:
        """After − before."""
        return self.after - self.before


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """An evaluation's figures. Without a model there is the run `first_stage` only."""

    about: About
    topics: Topics
    collected: Collected
    #: "first_stage", "reranked" (the cross-encoder's order) and "default" (the policy that ships).
    runs: Mapping[str, Run]
    measured: Mapping[str, Measured]
    #: Run → metric → against the first stage.
    comparisons: Mapping[str, Mapping[str, Comparison]]
    sweep: Sweep | None
    latency: Latency | None

    @property
    def means(self) -> dict[str, dict[str, float]]:
        """Run → metric → mean."""
        return {name: measured.means for name, measured in self.measured.items()}

    @property
    def differences(self) -> dict[str, float]:
        """nDCG@10 of the default policy − that of the first stage, by query, the worst first."""
        before, after = (self.measured[name].by_query[measures.MAIN] for name in ("first_stage", "default"))
        return dict(sorted(((q, after[q] - before[q]) for q in before), key=lambda item: item[1]))

    def changes(self, queries: Sequence[str]) -> list[Change]:
        """What happened to these queries."""
        return [self._change(query) for query in queries]

    def _change(self, query: str) -> Change:
        item, grades = self.collected.candidates[query], self.topics.grades[query]
        old, new = self.runs["first_stage"][query], self.runs["default"][query]
        places = [{document: place for place, document in enumerate(run, start=1)} for run in (old, new)]
        relevant = sorted((d for d in old if grades.get(d, 0) > 0), key=lambda d: (-grades[d], places[0][d]))
        return Change(
            candidates=item,
            before=self.measured["first_stage"].by_query[measures.MAIN][query],
            after=self.measured["default"].by_query[measures.MAIN][query],
            moves=tuple(
                (document, grades[document], places[0][document], places[1][document]) for document in relevant
            ),
            top=new[0] if new else "",
        )

    def summary(self) -> dict[str, Any]:
        """For JSON."""
        about, found = self.about, self.collected
        fusion = about.policy.fusion
        model = {"name": found.model, "fingerprint": found.fingerprint, "alias": about.policy.model}
        return {
            "data": about.data,
            "queries": len(self.topics.queries),
            "first_stage": about.first_stage,
            "window": about.policy.window,
            "default_policy": {"method": fusion.method, "weight": fusion.weight, "rrf_k": fusion.rrf_k},
            "runs": self.means,
            "latency_ms": self.latency.summary() if self.latency else {"p50": None, "p99": None},
            "model": model if found.model else None,
            "significance": {
                run: {metric: comparison.summary() for metric, comparison in by_metric.items()}
                for run, by_metric in self.comparisons.items()
            },
            "sweep": self.sweep.summary() if self.sweep else None,
            "scores": {"total": found.scored, "cached": found.cached},
            "seconds": round(about.seconds, 1),
            "left_out": {"judgments": self.topics.dropped, "queries_without_relevant_documents": self.topics.unjudged},
            "differences": self.differences if self.sweep else {},
        }


def judge(about: About, topics: Topics, collected: Collected, latency: Latency | None) -> Result:
    """Makes runs of the candidates and measures them.

    Args:
        latency: None where nothing was scored or timed.
    """
    items = [*collected.candidates.values()]
    policy = about.policy
    runs = {"first_stage": candidates.first_stage(items)}
    swept = None
    if collected.model:
        runs["reranked"] = candidates.reranked(items, policy.window, PLAIN)
        runs["default"] = candidates.reranked(items, policy.window, policy.fusion, pins=policy.pins)
        settings = sweep.grid(policy.window, about.windows, policy.fusion)
        swept = sweep.sweep(items, topics.grades, settings)
    meter = measures.Judge(topics.grades)
    measured = {name: meter.measure(run) for name, run in runs.items()}
    before = measured["first_stage"].by_query
    comparisons = {
        name: {metric: significance.compare(before[metric], values) for metric, values in after.by_query.items()}
        for name, after in measured.items()
        if name != "first_stage"
    }
    return Result(
        about=about,
        topics=topics,
        collected=collected,
        runs=runs,
        measured=measured,
        comparisons=comparisons,
        sweep=swept,
        latency=latency,
    )
