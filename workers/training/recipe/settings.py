"""Every number of the recipe of the bundled model, in one frozen value."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

__all__ = ["RecipeSettings"]


@dataclass(frozen=True, kw_only=True)
class RecipeSettings:
    """What is read, what is built of it, how long it is trained. The defaults are the shipped recipe."""

    #: Holds train/pairs.jsonl.gz and eval/ (the latter is only measured on and checked for overlap).
    data: Path
    #: Git-ignored; holds one `run_folder` for each recipe that was tried.
    work: Path = Path(".model")
    #: Hugging Face folder of the bundled model.
    output: Path = Path("workers/models/bundled")
    seed: int = 20
    threads: int = 2

    #: Passages in the pool that queries are asked against.
    passages: int = 60_000
    #: Lists of candidates: one query each.
    lists: int = 45_000
    #: Candidates of a list, by origin: labelled passage, BM25 top, BM25 middle, bi-encoder top, any passage.
    labelled: int = 1
    lexical_top: int = 2
    lexical_middle: int = 2
    semantic_top: int = 2
    random: int = 1
    #: Depth of "top" and of "middle".
    top_depth: int = 20
    middle_depth: int = 100

    #: Encoder layers of the bi-encoder that the student keeps.
    layers: tuple[int, ...] = (0, 1, 2, 3)
    max_length: int = 256
    max_query_length: int = 64

    #: Teacher's weights: cosine of the sentence vectors, mean best match of the query's tokens, BM25.
    cosine_weight: float = 1.0
    match_weight: float = 1.0
    bm25_weight: float = 0.25
    #: Loss: the label's share of a list's target, weights of the squared errors of scores and of query tokens.
    label_share: float = 0.15
    mse_weight: float = 0.2
    token_weight: float = 0.5

    #: Queries of an optimiser step; pairs that go through the model together.
    lists_per_step: int = 8
    pairs_per_pass: int = 8
    learning_rate: float = 2e-4
    weight_decay: float = 0.01
    #: Shares of the run with a rising and with a falling learning rate.
    warmup: float = 0.09
    decay: float = 0.3
    #: Passes over the lists; a pass may be a fraction.
    epochs: float = 0.28
    checkpoint_seconds: float = 600.0

    @property
    def run_folder(self) -> Path:
        """Cache and checkpoints of runs with these settings: others never mix with them."""
        digest = hashlib.blake2b(repr(self.fixed()).encode(), digest_size=4)
        return self.work / digest.hexdigest()

    @property
    def list_length(self) -> int:
        """Candidates in a list."""
        return self.labelled + self.lexical_top + self.lexical_middle + self.semantic_top + self.random

    def steps(self, lists: int) -> int:
        """Optimiser steps of the whole run over so many lists."""
        return int(lists * self.epochs) // self.lists_per_step

    def fixed(self) -> dict[str, str]:
        """What a resumed run must have in common with the one that it continues: all but places, length and pace."""
        free = {
            "data",
            "work",
            "output",
            "threads",
            "epochs",
            "warmup",
            "decay",
            "checkpoint_seconds",
            "pairs_per_pass",
        }
        return {field.name: repr(getattr(self, field.name)) for field in fields(self) if field.name not in free}
