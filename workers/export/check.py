"""What an exported file is let through by: scores as torch's in fp32, the order of torch's in int8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal

from connector.contract.errors import ModelError
from workers import models
from workers.export.sample import Sample
from workers.models.cross_encoder import CrossEncoder
from workers.settings import WorkerSettings
from workers.training import held_out

__all__ = ["MAX_DIFFERENCE", "MAX_LOSS", "MIN_OVERLAP", "Comparison", "compare", "load", "require_fp32", "require_int8"]

#: Largest difference of two logits in fp32.
MAX_DIFFERENCE = 1e-4
#: Largest fall of the mean nDCG@10 in int8.
MAX_LOSS = 0.005
#: Least mean share of the top 10 that stays in int8, where nobody judged.
MIN_OVERLAP = 0.9
_TOP = 10

#: One list of raw logits a query.
Scores = list[list[float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """How the scores of a file stand to torch's."""

    pairs: int
    #: Largest difference of two logits.
    difference: float
    #: Mean share of torch's top 10 that is in the file's.
    overlap: float
    #: Mean nDCG@10; None where nobody judged.
    torch_ndcg: float | None
    ndcg: float | None

    @property
    def loss(self) -> float | None:
        """How much nDCG@10 falls."""
        return None if self.torch_ndcg is None or self.ndcg is None else self.torch_ndcg - self.ndcg


def load(
    folder: Path, backend: Literal["torch", "onnx"], precision: Literal["fp32", "int8"], max_length: int
) -> CrossEncoder:
    """The model as a worker would run it on a CPU."""
    model = models.load(
        WorkerSettings(model=str(folder), backend=backend, precision=precision, device="cpu", max_length=max_length)
    )
    assert isinstance(model, CrossEncoder)
    return model


def scores(model: CrossEncoder, sample: Sample) -> Scores:
    """Raw logits of every candidate of the queries to check."""
    return [model.predict(item.query, item.passages) for item in sample.check]


def compare(reference: Scores, found: Scores, sample: Sample) -> Comparison:
    """`found` against `reference`, torch's scores."""
    difference = max(
        abs(one - other)
        for row, mine in zip(reference, found, strict=True)
        for one, other in zip(row, mine, strict=True)
    )
    overlaps = [_overlap(row, mine) for row, mine in zip(reference, found, strict=True)]
    return Comparison(
        pairs=sum(map(len, reference)),
        difference=difference,
        overlap=fmean(overlaps),
        torch_ndcg=fmean(held_out.ndcg(sample.check, reference)) if sample.judged else None,
        ndcg=fmean(held_out.ndcg(sample.check, found)) if sample.judged else None,
    )


def require_fp32(result: Comparison) -> None:
    """Raises ModelError where the fp32 file does not compute what torch does."""
    if not result.difference <= MAX_DIFFERENCE:
        raise ModelError(
            f"the fp32 file is refused: a score is off by {result.difference:.1e} from torch's on {result.pairs} pairs,"
            f" at most {MAX_DIFFERENCE:.0e} is allowed"
        )


def require_int8(result: Comparison, method: str) -> None:
    """Raises ModelError where the int8 file orders worse than allowed."""
    if result.loss is not None:
        if result.loss > MAX_LOSS:
            raise ModelError(
                f"int8 ({method}) is refused: nDCG@10 falls from {result.torch_ndcg:.4f} to {result.ndcg:.4f},"
                f" at most {MAX_LOSS} is allowed"
            )
    elif result.overlap < MIN_OVERLAP:
        raise ModelError(
            f"int8 ({method}) is refused: {result.overlap:.3f} of the top 10 stay on average, at least {MIN_OVERLAP}"
            " is required; with judgments (--data) nDCG@10 decides instead"
        )


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    mine, theirs = _top(one), _top(other)
    return len(mine & theirs) / len(mine)


def _top(values: Sequence[float]) -> set[int]:
    # Of a short list the better half: all of it would always stay.
    count = min(_TOP, max(1, len(values) // 2))
    return set(sorted(range(len(values)), key=lambda row: -values[row])[:count])
