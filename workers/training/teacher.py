"""A bigger cross-encoder reads the lists: its raw scores to learn from, and the false negatives it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sentence_transformers.cross_encoder import CrossEncoder
from torch import nn

from workers.training.collection import TrainingList

__all__ = ["score", "without_false_negatives"]


def score(lists: Sequence[TrainingList], model: CrossEncoder, batch: int) -> list[TrainingList]:
    """The lists with the raw logits of `model` as their scores."""
    pairs = [(entry.query, passage) for entry in lists for passage in entry.passages]
    values = iter(model.predict(pairs, batch_size=batch, activation_fn=nn.Identity(), show_progress_bar=False).tolist())
    return [replace(entry, scores=tuple(next(values) for _ in entry.passages)) for entry in lists]


def without_false_negatives(lists: Sequence[TrainingList], margin: float) -> list[TrainingList]:
    """The lists without the mined negatives that score above their best positive's score − `margin`."""
    return [_cleaned(entry, margin) for entry in lists]


def _cleaned(entry: TrainingList, margin: float) -> TrainingList:
    known = len(entry.passages) - entry.mined
    positives = [
        score for score, grade in zip(entry.scores, entry.grades, strict=True) if grade > 0 and score is not None
    ]
    if not positives:
        return entry
    limit = max(positives) - margin
    kept = [row for row, value in enumerate(entry.scores) if row < known or value is None or value <= limit]
    return replace(
        entry,
        passages=tuple(entry.passages[row] for row in kept),
        grades=tuple(entry.grades[row] for row in kept),
        scores=tuple(entry.scores[row] for row in kept),
        mined=len(kept) - known,
    )
