"""Everything a training run is told, as one value that can be stored beside it and compared on resume."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from connector.contract.errors import ConfigurationError

__all__ = ["LOSSES", "Settings"]

LOSSES = ("bce", "listwise", "lambda", "mse", "margin-mse")
_PATHS = ("pairs", "data", "clicks")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """One run. Texts and numbers only, so that it goes through JSON unchanged."""

    #: Files of query–passage pairs, BEIR folders, click logs.
    pairs: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    clicks: tuple[str, ...] = ()
    #: Which judgments of the BEIR folders: qrels/SPLIT.tsv.
    split: str = "train"
    #: Texts of the documents that click logs name by id.
    corpus: str | None = None
    #: η of the examination probability of click logs; None: from the log.
    click_eta: float | None = None
    satisfied_seconds: float = 30.0

    #: The model to start from, by name or path.
    model: str = ""
    revision: str | None = None
    max_length: int = 256
    #: A bigger cross-encoder, by name or path: its raw scores are the target of the distillation losses, and keep false
    #: negatives out under every loss.
    teacher: str | None = None
    #: A mined negative whose teacher score comes within this of its best positive's is taken for a false one.
    false_negative_margin: float = 0.0

    #: The running engine that negatives are mined from; None: bm25s in memory.
    engine_url: str | None = None
    index: str | None = None
    engine_fields: tuple[str, ...] = ("title", "text")
    ca_file: str | None = None
    vector_field: str | None = None
    #: The bi-encoder that the vector field was filled with, by name or path.
    embedder: str | None = None

    negatives: int = 7
    positives: int = 4
    depth: int = 50
    skip: int = 0

    loss: str = "listwise"
    epochs: float = 1.0
    #: Optimiser steps; overrides the epochs.
    steps: int | None = None
    #: Query–passage pairs in a step.
    batch: int = 32
    learning_rate: float = 2e-5
    warmup: float = 0.1
    seed: int = 0
    #: auto, cpu, cuda or cuda:N.
    device: str = "auto"

    #: Share and largest number of the queries that are held out.
    holdout: float = 0.1
    holdout_most: int = 100
    #: Candidates of a held-out query.
    window: int = 50
    #: How many times the held-out queries are judged on the way.
    evaluations: int = 5
    #: Evaluations without a better nDCG@10 after which training stops.
    patience: int = 2
    checkpoint_minutes: float = 10.0

    def check(self) -> None:
        """Raises ConfigurationError, naming the option, where a value cannot be used."""
        if self.loss not in LOSSES:
            raise ConfigurationError(f"--loss {self.loss!r}: choose one of {', '.join(LOSSES)}")
        if not (self.pairs or self.data or self.clicks):
            raise ConfigurationError("nothing to train on: name --pairs, --data or --clicks")
        if (self.engine_url is None) != (self.index is None):
            raise ConfigurationError("--engine-url and --index belong together")
        if (self.vector_field is None) != (self.embedder is None):
            raise ConfigurationError("--vector-field and --embedder belong together")
        if self.vector_field is not None and self.engine_url is None:
            raise ConfigurationError("--vector-field needs --engine-url and --index")
        self._check_numbers()

    def _check_numbers(self) -> None:
        least = {
            "max_length": 8, "negatives": 0, "positives": 1, "depth": 1, "skip": 0, "batch": 1, "window": 2,
            "holdout_most": 1, "evaluations": 1, "patience": 1, "seed": 0,
        }  # fmt: skip
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ConfigurationError(f"{_option(name)} {getattr(self, name)}: at least {value}")
        for name in ("epochs", "learning_rate", "checkpoint_minutes"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{_option(name)} {getattr(self, name)}: more than 0")
        if self.steps is not None and self.steps < 1:
            raise ConfigurationError(f"--steps {self.steps}: at least 1")
        if not 0 <= self.holdout < 1 or not 0 <= self.warmup < 1:
            raise ConfigurationError("--holdout and --warmup are shares: from 0 to below 1")

    def to_json(self) -> dict[str, object]:
        """The settings as JSON values, input paths made absolute, without the login of the engine's address."""
        values = asdict(self)
        if self.engine_url is not None:
            values["engine_url"] = re.sub(r"//[^/@]*@", "//", self.engine_url)
        for name in _PATHS:
            values[name] = [str(Path(path).resolve()) for path in values[name]]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Settings:
        """The inverse of `to_json`; raises TypeError where a field is unknown or missing."""
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return cls(**given)  # type: ignore[arg-type]  # the names and types are those that to_json wrote

    def differences(self, other: Settings) -> list[str]:
        """The options in which two runs differ."""
        mine, theirs = self.to_json(), other.to_json()
        return [_option(field.name) for field in fields(self) if mine[field.name] != theirs[field.name]]


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
