"""The gate of a site's CI: `ndcg@10>=baseline+0.02`, true or false of an evaluation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from connector.contract.errors import ConfigurationError
from connector.evaluate import measures

__all__ = ["Requirement", "Verdict", "parse"]

_GRAMMAR = re.compile(
    r"(?:(?P<run>reranked|default)\.)?(?P<metric>[a-z]+(?:@\d+)?)\s*(?P<sign>>=|>)\s*"
    r"(?:(?P<baseline>baseline)(?:\s*(?P<offset>[+-]\s*\d*\.?\d+))?|(?P<figure>\d*\.?\d+))"
)
#: Two means of the same figures may differ in their last bits.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A requirement held against an evaluation."""

    passed: bool
    #: As "ndcg@10>=baseline+0.02: 0.713, needed 0.696".
    line: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """What a metric must reach."""

    text: str
    #: "default", the policy that ships, or "reranked", the cross-encoder alone.
    run: str
    metric: str
    strict: bool
    #: Whether `figure` is added to the first stage's value or stands for itself.
    relative: bool
    figure: float

    def check(self, runs: Mapping[str, Mapping[str, float]]) -> Verdict:
        """Holds the means of the runs `first_stage`, `reranked` and `default` against the requirement."""
        value = runs[self.run][self.metric]
        needed = self.figure + (runs["first_stage"][self.metric] if self.relative else 0.0)
        passed = value > needed + _ROUNDING if self.strict else value >= needed - _ROUNDING
        return Verdict(passed=passed, line=f"{self.text}: {value:.4f}, needed {needed:.4f}")


def parse(text: str) -> Requirement:
    """Reads `[run.]metric>=figure`, `…>=baseline` or `…>=baseline+0.02`; `>` in place of `>=` leaves equality out.

    Raises:
        ConfigurationError: something else, or a metric that is not computed.
    """
    found = _GRAMMAR.fullmatch(text.strip().lower())
    if found is None:
        raise ConfigurationError(
            f"--require {text!r} cannot be read: write it as 'ndcg@10>=baseline+0.02' or 'p@5>=0.3'"
        )
    if found["metric"] not in measures.NAMES:
        raise ConfigurationError(
            f"--require {text!r}: there is no metric {found['metric']!r}, only {', '.join(measures.NAMES)}"
        )
    return Requirement(
        text=text.strip(),
        run=found["run"] or "default",
        metric=found["metric"],
        strict=found["sign"] == ">",
        relative=found["baseline"] is not None,
        figure=float((found["figure"] or found["offset"] or "0").replace(" ", "")),
    )
