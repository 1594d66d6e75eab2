"""Settings, as frozen values: what a policy says of an index, and what the process reads from its environment.

Every default of the product stands in this file. `connector.policies` reads `rerank-bridge.toml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from connector.contract import env
from connector.contract.errors import ConfigurationError
from connector.contract.keys import Hasher

__all__ = ["Fusion", "Policy", "Settings", "TextTemplate"]

#: What an engine returns at most (`index.max_result_window`), and so the largest window.
MAX_SIZE = 10_000
#: Seconds that a search waits for scores after the engine answered.
SERVE_DEADLINE = 0.3
COMMAND_DEADLINE = 30.0
#: Scores kept in the process, in front of Redis.
LOCAL_SCORES = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class TextTemplate:
    """How a hit becomes the text that the cross-encoder reads: the values of `fields`, in order, joined by newlines.

    Without fields, those that the query searched are taken.
    """

    fields: tuple[str, ...] = ()
    #: Characters kept of each field's text. A cross-encoder of 256 tokens reads about 1,200 characters.
    max_chars: int = 2000
    #: Characters kept of one field in place of `max_chars`, by field name.
    field_chars: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fusion:
    """How the first stage's scores and the cross-encoder's become one order (see `connector.fusion`)."""

    method: Literal["none", "rrf", "minmax", "zscore"] = "minmax"
    #: Share of the cross-encoder, 0 to 1. Measured: docs/quality.md.
    weight: float = 0.7
    #: The constant of RRF.
    rrf_k: int = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What is done with the searches of an index."""

    mode: Literal["on", "off", "shadow"] = "on"
    #: Share of the searches that are reranked, 0 to 1.
    share: float = 1.0
    #: Alias of the model, as workers announce it.
    model: str = "default"
    #: Candidates taken from the first stage.
    window: int = 50
    text: TextTemplate = field(default_factory=TextTemplate)
    fusion: Fusion = field(default_factory=Fusion)
    #: Passage policy of long documents (`connector.contract.wire.ScoreRequest.passages`).
    passages: str = "truncate"
    #: Seconds after the engine answered.
    deadline: float = COMMAND_DEADLINE
    on_timeout: Literal["engine", "partial"] = "engine"
    #: Which scores the response shows: the engine's by slot, or the cross-encoder's in [0, 1].
    scores: Literal["engine", "rerank"] = "rerank"
    #: Searches with fewer hits, or fewer words in the query, are left alone.
    min_hits: int = 2
    min_query_terms: int = 1
    #: The first hits of the first stage that stay where they are.
    pins: int = 0
    #: Hits whose own score (its sigmoid, 0 to 1) is lower are left out, so pages may be short; pins stay.
    threshold: float | None = None
    #: Raise kNN's `k` and `num_candidates` to the window (never with aggregations, which are computed over the top k).
    raise_k: bool = False
    #: Per-hit first-stage score and rank under `fields`, and a `_rerank` block.
    details: bool = False
    #: Errors instead of the engine's order.
    strict: bool = False

    def __post_init__(self) -> None:
        """Refuses values out of range, naming the key."""
        _between("window", self.window, 1, MAX_SIZE)
        _between("share", self.share, 0, 1)
        _between("fusion.weight", self.fusion.weight, 0, 1)
        _between("fusion.rrf_k", self.fusion.rrf_k, 1, 10_000)
        _between("deadline", self.deadline, 0.001, 3600)
        _between("min_hits", self.min_hits, 1, MAX_SIZE)
        _between("min_query_terms", self.min_query_terms, 0, 1000)
        _between("pins", self.pins, 0, MAX_SIZE)
        _between("threshold", self.threshold or 0, 0, 1)
        _between("text.max_chars", self.text.max_chars, 1, 1_000_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a connector process reads once from its environment."""

    # Login and password may stand in addresses: they are not shown.
    engine_url: str = field(repr=False)
    urls: env.Urls = field(repr=False)
    hasher: Hasher
    #: PEM file of the authority that signed the engine's certificate; None: the system's.
    ca_file: Path | None = None
    #: `Authorization: ApiKey …` for the engine.
    api_key: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Reads RERANK_BRIDGE_ENGINE_URL, …_HASH_KEY, …_ENGINE_CA_FILE, …_ENGINE_API_KEY and the three Redis URLs.

        Raises:
            ConfigurationError: names the variable whose value cannot be used.
        """
        ca_file = environment.get("RERANK_BRIDGE_ENGINE_CA_FILE")
        if ca_file and not Path(ca_file).is_file():
            raise ConfigurationError(f"RERANK_BRIDGE_ENGINE_CA_FILE: there is no file {ca_file}")
        return cls(
            engine_url=environment.get("RERANK_BRIDGE_ENGINE_URL") or "http://127.0.0.1:9200",
            urls=env.Urls.from_environment(environment),
            hasher=Hasher(environment.get("RERANK_BRIDGE_HASH_KEY", "").encode(errors="surrogateescape")),
            ca_file=Path(ca_file) if ca_file else None,
            api_key=environment.get("RERANK_BRIDGE_ENGINE_API_KEY") or None,
        )


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigurationError(f"{name} = {value} is out of range: {low} to {high}")
