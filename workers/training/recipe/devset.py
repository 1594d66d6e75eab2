"""Development queries: BM25 windows of BEIR folders, kept in memory, on which candidate recipes are compared."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ir_measures
import numpy as np

from workers.training.recipe import lexical

__all__ = ["Scorer", "Window", "fuse", "mean_ndcg", "ndcg", "windows"]

#: Gives one score per passage for a list of (query, passage) pairs.
Scorer = Callable[[Sequence[tuple[str, str]]], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Window:
    """One query with its BM25 candidates, best first, and its judgments."""

    dataset: str
    query_id: str
    query: str
    ids: tuple[str, ...]
    passages: tuple[str, ...]
    bm25: np.ndarray
    judgments: Mapping[str, int]


def windows(root: Path, *, queries: int, depth: int, seed: int = 0) -> list[Window]:
    """Seeded `queries` judged queries of every BEIR folder under `root` with their BM25 top `depth`."""
    folders = sorted(path.parent for path in root.glob("*/corpus.jsonl"))
    return [window for folder in folders for window in _windows(folder, queries, depth, seed)]


def _windows(folder: Path, count: int, depth: int, seed: int) -> Iterator[Window]:
    documents = {row["_id"]: f"{row.get('title', '')} {row['text']}".strip() for row in _rows(folder / "corpus.jsonl")}
    queries = {row["_id"]: row["text"] for row in _rows(folder / "queries.jsonl")}
    judgments = _judgments(folder / "qrels" / "test.tsv")
    judged = sorted(key for key in judgments if any(grade > 0 for grade in judgments[key].values()))
    chosen = random.Random(seed).sample(judged, min(count, len(judged)))
    ids = list(documents)
    index = lexical.Index(list(documents.values()))
    rows, scores = index.top([queries[key] for key in chosen], min(depth, len(ids)))
    for key, found, values in zip(chosen, rows, scores, strict=True):
        names = tuple(ids[row] for row in found)
        yield Window(
            dataset=folder.name,
            query_id=key,
            query=queries[key],
            ids=names,
            passages=tuple(documents[name] for name in names),
            bm25=values,
            judgments=judgments[key],
        )


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines)


def _judgments(path: Path) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            found.setdefault(row["query-id"], {})[row["corpus-id"]] = int(float(row["score"]))
    return found


def ndcg(items: Sequence[Window], scores: Sequence[np.ndarray]) -> dict[str, float]:
    """Mean nDCG@10 of each set, candidates ordered by `scores` (ties keep the order of the first stage)."""
    results: dict[str, list[float]] = {}
    measure = ir_measures.nDCG @ 10
    for name in dict.fromkeys(window.dataset for window in items):
        pairs = [(w, s) for w, s in zip(items, scores, strict=True) if w.dataset == name]
        run = {w.query_id: _ranked(w, s) for w, s in pairs}
        judged = {w.query_id: dict(w.judgments) for w, _ in pairs}
        results[name] = [metric.value for metric in ir_measures.iter_calc([measure], judged, run)]
    return {name: float(np.mean(values)) for name, values in results.items()}


def _ranked(window: Window, scores: np.ndarray) -> dict[str, float]:
    order = np.argsort(-scores, kind="stable")
    return {window.ids[row]: float(len(order) - place) for place, row in enumerate(order)}


def mean_ndcg(items: Sequence[Window], scores: Sequence[np.ndarray]) -> float:
    """The unweighted mean of `ndcg` over the sets."""
    return float(np.mean(list(ndcg(items, scores).values())))


def fuse(items: Sequence[Window], scores: Sequence[np.ndarray], *, method: str, weight: float) -> list[np.ndarray]:
    """Each window's scores blended with BM25: `weight` for the model, the rest for BM25; rrf uses k = 60."""
    scale = _SCALES[method]
    pairs = zip(items, scores, strict=True)
    return [weight * scale(values) + (1 - weight) * scale(window.bm25) for window, values in pairs]


def _min_max(values: np.ndarray) -> np.ndarray:
    spread = float(values.max() - values.min())
    return (values - values.min()) / spread if spread > 0 else np.zeros_like(values)


def _z_score(values: np.ndarray) -> np.ndarray:
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)


def _reciprocal_rank(values: np.ndarray) -> np.ndarray:
    ranks = np.empty(len(values))
    ranks[np.argsort(-values, kind="stable")] = np.arange(1, len(values) + 1)
    return 1.0 / (60.0 + ranks)


_SCALES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "minmax": _min_max,
    "zscore": _z_score,
    "rrf": _reciprocal_rank,
}
