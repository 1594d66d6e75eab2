"""Inputs → what a run trains and judges on: read, split, mined, scored by the teacher."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from connector.contract.errors import InputError, ModelError
from workers.training import base, engine, held_out, inputs, lexical, negatives, split, teacher
from workers.training.collection import Collection, TrainingList
from workers.training.report import Report
from workers.training.retrieval import Retriever
from workers.training.settings import Settings
from workers.training.workspace import Prepared

__all__ = ["prepare"]


def prepare(settings: Settings, report: Report, environment: Mapping[str, str] = os.environ) -> Prepared:
    """Reads every input and mines its negatives.

    Raises:
        InputError: a line that cannot be used, or nothing to train on.
        EngineError: the engine that negatives are mined from does not answer, or refuses.
        ModelError: teacher or bi-encoder cannot be loaded.
    """
    report.step("reading the data")
    collections = inputs.read(settings)
    parts = split.split(collections, share=settings.holdout, most=settings.holdout_most, seed=settings.seed)
    lists: list[TrainingList] = []
    items: list[held_out.HeldOutQuery] = []
    engine_side = _engine_retrievers(settings, environment)
    mining = negatives.Settings(
        negatives=settings.negatives, positives=settings.positives, depth=settings.depth, skip=settings.skip
    )
    for collection, train, judged in zip(collections, parts.train, parts.held_out, strict=True):
        report.step(f"{collection.name}: mining negatives for {len(train)} queries, {len(judged)} held out")
        retrievers = engine_side or [lexical.Index(collection.passages)]
        lists.extend(negatives.lists(collection, train, retrievers, mining, settings.seed))
        items.extend(held_out.queries(collection, judged, retrievers[0], settings.window))
    if settings.teacher:
        lists = _taught(lists, settings, report)
    if all(len(entry.passages) < 2 for entry in lists) and settings.loss != "mse":
        raise InputError("no negatives: no passage but the positives was found for any query; name more data")
    return Prepared(lists=tuple(lists), held_out=tuple(items), data=tuple(map(_described, collections)))


def _engine_retrievers(settings: Settings, environment: Mapping[str, str]) -> list[Retriever]:
    if settings.engine_url is None or settings.index is None:
        return []
    client = engine.Engine(
        engine.Target(
            url=settings.engine_url,
            index=settings.index,
            fields=settings.engine_fields,
            api_key=environment.get("RERANK_BRIDGE_ENGINE_API_KEY"),
            ca_file=Path(settings.ca_file) if settings.ca_file else None,
        )
    )
    found: list[Retriever] = [engine.BM25(client)]
    if settings.vector_field and settings.embedder:
        found.append(engine.KNN(client, settings.vector_field, _embedder(settings.embedder, settings.device)))
    return found


def _embedder(name: str, device: str) -> Callable[[Sequence[str]], Sequence[Sequence[float]]]:
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(name, device=base.device(device), local_files_only=Path(name).exists())
    except Exception as exc:  # the libraries raise errors of a dozen kinds for broken files and missing names
        raise ModelError(f"{name}: no bi-encoder that can be loaded: {exc}") from exc
    return lambda texts: model.encode(list(texts), show_progress_bar=False, normalize_embeddings=True).tolist()


def _taught(lists: Sequence[TrainingList], settings: Settings, report: Report) -> list[TrainingList]:
    assert settings.teacher is not None
    report.step(f"the teacher reads {sum(len(entry.passages) for entry in lists)} pairs")
    model = base.load(settings.teacher, max_length=settings.max_length, device=base.device(settings.device))
    scored = teacher.score(lists, model, settings.batch)
    cleaned = teacher.without_false_negatives(scored, settings.false_negative_margin)
    dropped = sum(map(_size, scored)) - sum(map(_size, cleaned))
    report.step(f"{dropped} mined negatives left out that the teacher takes for relevant")
    return cleaned


def _size(entry: TrainingList) -> int:
    return len(entry.passages)


def _described(collection: Collection) -> dict[str, object]:
    return {
        "name": collection.name,
        "sha256": dict(collection.digests),
        "queries": len(collection.queries),
        "passages": len(collection.passages),
        **collection.notes,
    }
