"""The pairs that are scored: real queries with the passages that BM25 finds for them, and their judgments."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Candidates", "load", "ndcg"]

_ROOT = Path(__file__).parents[2]
_SEED = 11


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """One query, its candidates in BM25's order, and the grades of those that are judged."""

    query: str
    documents: tuple[str, ...]
    grades: tuple[int, ...]
    #: Grades of all judged documents of the query, best first: what the ideal order is made of.
    ideal: tuple[int, ...]


def load(count: int, window: int) -> list[Candidates]:
    """`count` queries drawn evenly from the evaluation sets, `window` candidates each.

    The sets are in ../shared/data/eval, or where RERANK_BRIDGE_BENCH_DATA says. Without them: the docstrings of the
    standard library, asked for by their titles, without judgments.
    """
    folder = Path(os.environ.get("RERANK_BRIDGE_BENCH_DATA", _ROOT.parent / "shared" / "data" / "eval"))
    sets = sorted(path for path in folder.iterdir() if (path / "corpus.jsonl").is_file()) if folder.is_dir() else []
    if not sets:
        return _docstrings(count, window)
    share = -(-count // len(sets))
    return [found for path in sets for found in _drawn(path, share, window)][:count]


def ndcg(candidates: Candidates, scores: list[float], depth: int = 10) -> float | None:
    """nDCG at `depth` with gains equal to the grades, as trec_eval has it; None without a judged document."""
    from math import log2

    if not any(candidates.ideal):
        return None
    order = sorted(range(len(scores)), key=lambda i: -scores[i])[:depth]
    gained = sum(candidates.grades[i] / log2(rank + 2) for rank, i in enumerate(order))
    best = sum(grade / log2(rank + 2) for rank, grade in enumerate(candidates.ideal[:depth]))
    return gained / best


def _drawn(path: Path, count: int, window: int) -> list[Candidates]:
    corpus = {d["_id"]: f"{d.get('title') or ''}\n{d['text']}".strip() for d in _lines(path / "corpus.jsonl")}
    queries = {q["_id"]: q["text"] for q in _lines(path / "queries.jsonl")}
    judged: dict[str, dict[str, int]] = {}
    for line in (path / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        judged.setdefault(query, {})[document] = max(0, int(grade))
    drawn = random.Random(_SEED).sample(sorted(set(judged) & set(queries)), min(count, len(judged)))
    found = _bm25(corpus, [queries[query] for query in drawn], window)
    return [_candidates(queries[q], ids, corpus, judged[q]) for q, ids in zip(drawn, found, strict=True)]


def _candidates(query: str, ids: list[str], corpus: Mapping[str, str], judged: Mapping[str, int]) -> Candidates:
    kept = [i for i in ids if corpus[i]]
    return Candidates(
        query=query,
        documents=tuple(corpus[i] for i in kept),
        grades=tuple(judged.get(i, 0) for i in kept),
        ideal=tuple(sorted(judged.values(), reverse=True)),
    )


def _bm25(corpus: Mapping[str, str], queries: list[str], window: int) -> list[list[str]]:
    import bm25s

    ids = list(corpus)
    retriever = bm25s.BM25(k1=0.9, b=0.4)
    retriever.index(bm25s.tokenize(list(corpus.values()), stopwords="en", show_progress=False), show_progress=False)
    asked = bm25s.tokenize(queries, stopwords="en", show_progress=False)
    found, _ = retriever.retrieve(asked, k=min(window, len(ids)), show_progress=False)
    return [[ids[i] for i in row] for row in found]


def _docstrings(count: int, window: int) -> list[Candidates]:
    import ast
    import sysconfig

    texts = {}
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:120]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8", errors="replace"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and (text := ast.get_docstring(node)):
                texts[f"{path.stem} {node.name.replace('_', ' ')}"] = text
    drawn = random.Random(_SEED).sample(sorted(texts), min(count, len(texts)))
    found = _bm25(texts, drawn, window)
    return [_candidates(query, ids, texts, {}) for query, ids in zip(drawn, found, strict=True)]


def _lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.open(encoding="utf-8")]
