"""Candidate lists: for each query some passages of the pool with what the teacher says of every pair."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workers.training.recipe import lexical
from workers.training.recipe.pool import Pool
from workers.training.recipe.settings import RecipeSettings
from workers.training.recipe.teacher import TokenVectors

__all__ = ["Lists", "build", "load", "save"]

_CHUNK = 512


@dataclass(frozen=True, kw_only=True)
class Lists:
    """Arrays over (list, candidate); the first candidate is the labelled one."""

    #: [lists, candidates] positions in the pool.
    rows: np.ndarray
    #: [lists, candidates] cosine of the sentence vectors.
    cosine: np.ndarray
    #: [lists, candidates] BM25.
    bm25: np.ndarray
    #: [lists, candidates, query tokens] best cosine of each query token among the passage's tokens; nan past the end.
    matches: np.ndarray


def save(lists: Lists, path: Path) -> None:
    """One .npz file, put in place at once."""
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, rows=lists.rows, cosine=lists.cosine, bm25=lists.bm25, matches=lists.matches)
    partial.rename(path)


def load(path: Path) -> Lists:
    """What `save` wrote."""
    with np.load(path) as arrays:
        return Lists(**{name: arrays[name] for name in ("rows", "cosine", "bm25", "matches")})


def build(
    pool: Pool,
    queries: tuple[np.ndarray, TokenVectors],
    passages: tuple[np.ndarray, TokenVectors],
    settings: RecipeSettings,
) -> Lists:
    """Lists for every query of `pool`; `queries` and `passages` are the teacher's vectors of its texts."""
    rng = np.random.default_rng(settings.seed)
    index = lexical.Index(pool.passages)
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for first in range(0, len(pool.queries), _CHUNK):
        chunk = slice(first, first + _CHUNK)
        bm25 = index.scores(pool.queries[chunk])
        cosine = queries[0][chunk] @ passages[0].T
        chosen = [
            _choose(label, lexical_scores, semantic_scores, settings, rng)
            for label, lexical_scores, semantic_scores in zip(pool.labels[chunk], bm25, cosine, strict=True)
        ]
        rows = np.stack(chosen)
        parts.append((rows, np.take_along_axis(cosine, rows, 1), np.take_along_axis(bm25, rows, 1)))
    rows, cosine, bm25 = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    matches = _matches(rows, queries[1], passages[1], settings.max_query_length)
    return Lists(rows=rows, cosine=cosine, bm25=bm25, matches=matches)


def _choose(
    label: int, bm25: np.ndarray, cosine: np.ndarray, settings: RecipeSettings, rng: np.random.Generator
) -> np.ndarray:
    """The labelled passage and, without repeats, candidates of each origin."""
    by_bm25, by_cosine = _top(bm25, settings.middle_depth), _top(cosine, settings.top_depth)
    chosen = [label]
    for source, count in (
        (by_bm25[: settings.top_depth], settings.lexical_top),
        (by_bm25[settings.top_depth :], settings.lexical_middle),
        (by_cosine, settings.semantic_top),
        (rng.integers(len(bm25), size=settings.list_length), settings.random),
    ):
        fresh = [int(row) for row in rng.permutation(source) if int(row) not in chosen]
        chosen.extend(fresh[:count])
    return np.array(chosen, dtype=np.int32)


def _top(scores: np.ndarray, depth: int) -> np.ndarray:
    best = np.argpartition(-scores, depth)[:depth]
    return best[np.argsort(-scores[best], kind="stable")]


def _matches(rows: np.ndarray, queries: TokenVectors, passages: TokenVectors, width: int) -> np.ndarray:
    found = np.full((*rows.shape, width), np.nan, dtype=np.float16)
    for place, candidates in enumerate(rows):
        query = queries.of(place)[:width]
        for column, row in enumerate(candidates):
            tokens = passages.of(int(row))
            if len(tokens) and len(query):
                found[place, column, : len(query)] = (query @ tokens.T).max(1)
    return found
