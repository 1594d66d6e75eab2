"""Passage policies: what a worker does with a document that is longer than its model reads.

    policy    = "truncate" | method [ "-w" TOKENS ] [ "-s" TOKENS ] [ "-n" COUNT ]
    method    = "max_passage" | "mean_top" K | "fragments"

`truncate` reads the beginning. `max_passage` cuts the document into windows of `w` tokens, one every `s` tokens, and
takes the best window's score; `mean_topK` the mean of the K best. Of more than `n` windows, those that share most words
with the query are scored. `fragments` takes its passages from the connector (an engine's highlights or inner hits),
separated by `SEPARATOR`, and scores the best. As in `max_passage`, `mean_top3-w128-s96-n16`.

The policy is part of the cache key, so two spellings of one policy would cache apart: `canonical` settles on one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from connector.contract.errors import ConfigurationError

__all__ = ["SEPARATOR", "TRUNCATE", "Passages", "canonical", "parse"]

TRUNCATE = "truncate"
#: Stands between two fragments of one document (ASCII "record separator").
SEPARATOR = "\x1e"

WINDOW = 160
STRIDE = 120
LIMIT = 8

_GRAMMAR = re.compile(
    r"(?P<method>max_passage|mean_top(?P<top>[1-9]\d?)|fragments)"
    r"(?:-w(?P<window>\d{1,5}))?(?:-s(?P<stride>\d{1,5}))?(?:-n(?P<limit>\d{1,4}))?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Passages:
    """One policy. `window` and `stride` are in tokens of the model; the model may read less than a window holds."""

    method: Literal["truncate", "windows", "fragments"] = "truncate"
    #: The mean of this many best passages is the document's score.
    top: int = 1
    window: int = WINDOW
    stride: int = STRIDE
    #: Passages scored of one document, at most.
    limit: int = LIMIT

    def __str__(self) -> str:
        """The canonical spelling; values that are the defaults are left out."""
        if self.method == "truncate":
            return TRUNCATE
        name = "fragments" if self.method == "fragments" else "max_passage"
        if self.top > 1:
            name = f"mean_top{self.top}"
        options = (("w", self.window, WINDOW), ("s", self.stride, STRIDE), ("n", self.limit, LIMIT))
        return name + "".join(f"-{letter}{value}" for letter, value, default in options if value != default)


def parse(policy: str) -> Passages:
    """Reads a policy.

    Raises:
        ConfigurationError: it does not follow the grammar, or its stride leaves gaps between windows.
    """
    if policy == TRUNCATE:
        return Passages()
    match = _GRAMMAR.fullmatch(policy)
    if match is None:
        raise ConfigurationError(
            f"passages = {policy[:80]!r} is no policy: truncate, max_passage, mean_top3 or fragments,"
            " with options as in max_passage-w160-s120-n8"
        )
    window = int(match["window"] or WINDOW)
    passages = Passages(
        method="fragments" if match["method"] == "fragments" else "windows",
        top=int(match["top"] or 1),
        window=window,
        stride=int(match["stride"] or min(STRIDE, window)),
        limit=int(match["limit"] or LIMIT),
    )
    if passages.window < 8 or not 1 <= passages.stride <= passages.window or passages.limit < 1:
        raise ConfigurationError(
            f"passages = {policy!r}: a window has at least 8 tokens, a stride 1 to the window's, a document 1 passage"
        )
    return passages


def canonical(policy: str) -> str:
    """The one spelling of a policy.

    Raises:
        ConfigurationError: it does not follow the grammar.
    """
    return str(parse(policy))
