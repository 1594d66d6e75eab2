"""nDCG@10 on queries that training never sees: what decides which checkpoint is kept, and when to stop."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import ir_measures
import numpy as np
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.cross_encoder import CrossEncoder
from torch import nn

from workers.training.collection import Collection, JudgedQuery, normalised
from workers.training.retrieval import Retriever

__all__ = ["METRIC", "HeldOut", "HeldOutQuery", "ndcg", "queries"]

METRIC = "ndcg@10"
#: Click labels are shares; graded measures count in whole grades.
_CLICK_GRADES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOutQuery:
    """A query, the candidates it is to order, and every judgment of it: a positive not among them stays missed."""

    query: str
    ids: tuple[str, ...]
    passages: tuple[str, ...]
    grades: Mapping[str, int]


def queries(
    collection: Collection, chosen: Sequence[JudgedQuery], first_stage: Retriever, window: int
) -> Iterator[HeldOutQuery]:
    """The held-out queries with the first stage's top `window`, or, of a click log, with what was shown."""
    if not collection.retrieved:
        yield from (_shown(collection, query) for query in chosen)
        return
    found = first_stage.top([query.query for query in chosen], window)
    for query, candidates in zip(chosen, found, strict=True):
        # A running engine may name documents otherwise than the file does: then the text tells.
        judged = {normalised(collection.passages[name]): name for name in query.grades}
        texts: dict[str, str] = {}
        for item in candidates:
            known = item.id if item.id in query.grades else judged.get(normalised(item.text))
            texts.setdefault(known or f"candidate:{item.id}", item.text)
        yield HeldOutQuery(
            query=query.query,
            ids=tuple(texts),
            passages=tuple(texts.values()),
            grades={name: round(grade) for name, grade in query.grades.items()},
        )


def _shown(collection: Collection, query: JudgedQuery) -> HeldOutQuery:
    # By id, so that the order in which the log shows them decides no tie.
    names = tuple(sorted(query.grades))
    return HeldOutQuery(
        query=query.query,
        ids=names,
        passages=tuple(collection.passages[name] for name in names),
        grades={name: round(_CLICK_GRADES * grade) for name, grade in query.grades.items()},
    )


def ndcg(items: Sequence[HeldOutQuery], scores: Sequence[Sequence[float]]) -> list[float]:
    """nDCG@10 of each query, its candidates ordered by `scores`; ties keep the first stage's order."""
    judgments = {str(row): dict(item.grades) for row, item in enumerate(items)}
    run = {str(row): _ranked(item.ids, scores[row]) for row, item in enumerate(items)}
    found = {metric.query_id: metric.value for metric in ir_measures.iter_calc([ir_measures.nDCG @ 10], judgments, run)}
    return [float(found.get(str(row), 0.0)) for row in range(len(items))]


def _ranked(ids: Sequence[str], scores: Sequence[float]) -> dict[str, float]:
    order = sorted(range(len(ids)), key=lambda row: -scores[row])
    return {ids[row]: float(len(order) - place) for place, row in enumerate(order)}


class HeldOut(BaseEvaluator):
    """Judges a model on held-out queries, for the training loop."""

    def __init__(self, items: Sequence[HeldOutQuery], batch: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.primary_metric = METRIC
        self._items = items
        self._batch = batch

    def __call__(  # type: ignore[override]  # a cross-encoder is all that is trained here
        self,
        model: CrossEncoder,
        output_path: str | None = None,  # noqa: ARG002  this one and the next are the base class's
        epoch: float = -1,  # noqa: ARG002
        steps: int = -1,  # noqa: ARG002
    ) -> dict[str, float]:
        """Mean nDCG@10 under the name `ndcg@10`."""
        return {METRIC: float(np.mean(self.per_query(model)))}

    def per_query(self, model: CrossEncoder) -> list[float]:
        """nDCG@10 of each query, ordered by the raw logits of `model`."""
        pairs = [(item.query, passage) for item in self._items for passage in item.passages]
        if not pairs:
            return [0.0] * len(self._items)
        values = model.predict(
            pairs, batch_size=self._batch, activation_fn=nn.Identity(), show_progress_bar=False
        ).tolist()
        cuts = np.cumsum([0, *(len(item.passages) for item in self._items)])
        return ndcg(self._items, [values[start:end] for start, end in itertools.pairwise(cuts.tolist())])
