"""A cross-encoder: texts to rows of token ids (before), rows to outputs (the runtime), outputs to one logit (after)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from connector.contract import passages
from connector.contract.errors import ModelFailed
from workers import batching
from workers.models import fingerprint, head
from workers.models.folder import ModelFolder
from workers.models.pairs import PairTokenizer, Row
from workers.models.runtime import Runtime

__all__ = ["CrossEncoder", "readable_length"]


class CrossEncoder:
    """Scores (query, document) pairs with raw logits. `encode` may run in many threads, `score` in one at a time."""

    kind = "score"
    dimensions = 0

    def __init__(self, folder: ModelFolder, tokenizer: PairTokenizer, runtime: Runtime) -> None:
        self.name = folder.name
        self.backend = runtime.backend
        self.device = runtime.device
        self.precision = runtime.precision
        self.batch_tokens = runtime.batch_tokens
        #: Called with the padding of each run, in tokens.
        self.observe_padding: Callable[[int], None] = lambda _: None
        self.tokenizer = tokenizer
        self.runtime = runtime
        self.max_length = tokenizer.max_length
        self._relevant = folder.relevant_label()
        self._probabilities = head.gives_probabilities(folder.config, runtime.output)
        files = (*runtime.files, folder.path / "tokenizer.json", folder.path / "config.json")
        self.fingerprint = fingerprint.digest(files, precision=runtime.precision, max_length=self.max_length)

    def encode(self, query: str, documents: Sequence[str], policy: passages.Passages) -> list[list[Row]]:
        """The rows to score for each document."""
        return self.tokenizer.encode(query, documents, policy)

    def score(self, rows: Sequence[Row]) -> list[float | Exception]:
        """One raw logit a row, float32; an exception in place of what is no number.

        Raises:
            OutOfMemory: the device does not hold the rows.
        """
        runtime = self.runtime
        lengths = [len(row) for row in rows]
        share = -(-sum(batching.padded(n, runtime.multiple) for n in lengths) // runtime.parallel)
        batches = batching.plan(lengths, min(runtime.forward_tokens, share), multiple=runtime.multiple)
        outputs = runtime.run(rows, batches)
        whole = sum(len(b) * batching.padded(lengths[b[0]], runtime.multiple) for b in batches)
        self.observe_padding(whole - sum(lengths))
        logits = np.concatenate(
            [head.raw_logits(out, relevant=self._relevant, probabilities=self._probabilities) for out in outputs]
        )
        order = batching.inverse([index for batch in batches for index in batch])
        return [
            float(value) if np.isfinite(value) else ModelFailed(f"{self.name} gave {value} for a pair")
            for value in logits[order]
        ]

    def score_groups(self, groups: Sequence[tuple[Sequence[Row], passages.Passages]]) -> list[float | Exception]:
        """One score a document of the scores of its rows; an exception where one of them has none."""
        scores = iter(self.score([row for rows, _ in groups for row in rows]))
        return [combine([next(scores) for _ in rows], policy) for rows, policy in groups]

    def predict(self, query: str, documents: Sequence[str], policy: str = passages.TRUNCATE) -> list[float]:
        """Scores outside a worker: one raw logit a document.

        Raises:
            ModelFailed: a score is not finite.
        """
        parsed = passages.parse(policy)
        values = self.score_groups([(rows, parsed) for rows in self.encode(query, documents, parsed)])
        for value in values:
            if isinstance(value, Exception):
                raise value
        return [value for value in values if not isinstance(value, Exception)]

    def memory(self) -> int:
        """Bytes of device memory in use."""
        return self.runtime.memory()

    def warm(self) -> None:
        """Runs a short and a long pair, so that the first request finds everything allocated."""
        self.predict("what is warmed", ["a short text", "a long text " * self.max_length])


def combine(scores: Sequence[float | Exception], policy: passages.Passages) -> float | Exception:
    """A document's score of its passages' scores: the best, or the mean of the best `top`; or the first exception."""
    values: list[float] = []
    for score in scores:
        if isinstance(score, Exception):
            return score
        values.append(score)
    best = sorted(values, reverse=True)[: policy.top]
    return float(np.float32(sum(best) / len(best)))


def readable_length(folder: ModelFolder, wanted: int) -> int:
    """`wanted`, or as many tokens as the model has positions for."""
    positions = int(folder.config.get("max_position_embeddings") or wanted)
    if folder.config.get("model_type") in ("roberta", "xlm-roberta", "camembert"):
        # These count positions from the padding id + 1.
        positions -= int(folder.config.get("pad_token_id") or 1) + 1
    return min(wanted, positions)
