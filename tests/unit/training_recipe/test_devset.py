"""Development windows: what is ranked, measured and blended."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from workers.training.recipe import devset

pytestmark = pytest.mark.torch


@pytest.fixture
def windows(tmp_path: Path) -> list[devset.Window]:
    folder = tmp_path / "pets"
    (folder / "qrels").mkdir(parents=True)
    texts = ["cats purr", "dogs bark loudly", "a cat and a dog", "fish swim", "birds sing"]
    rows = [json.dumps({"_id": f"d{n}", "title": "", "text": text}) for n, text in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("\n".join(rows) + "\n")
    queries = [{"_id": "q1", "text": "cat"}, {"_id": "q2", "text": "not judged"}, {"_id": "q3", "text": "dog"}]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)) + "\n")
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td2\t1\nq3\td1\t2\nq2\td0\t0\n")
    return devset.windows(tmp_path, queries=10, depth=3)


def test_only_queries_with_a_relevant_document_are_taken(windows: list[devset.Window]) -> None:
    assert sorted(window.query_id for window in windows) == ["q1", "q3"]
    assert all(len(window.passages) == 3 and (np.diff(window.bm25) <= 0).all() for window in windows)


def test_the_relevant_document_on_top_gives_one_and_ties_keep_the_first_stage(windows: list[devset.Window]) -> None:
    perfect = [np.array([float(name in window.judgments) for name in window.ids]) for window in windows]
    assert devset.mean_ndcg(windows, perfect) == pytest.approx(1.0)
    tied = [np.zeros(3) for _ in windows]
    assert devset.ndcg(windows, tied) == devset.ndcg(windows, [window.bm25 for window in windows])


@pytest.mark.parametrize("method", ["minmax", "zscore", "rrf"])
def test_a_blend_goes_from_the_first_stage_to_the_model(windows: list[devset.Window], method: str) -> None:
    scores = [np.array([0.0, 5.0, 9.0]) for _ in windows]
    for weight, expected in ((0.0, [0, 1, 2]), (1.0, [2, 1, 0])):
        blended = devset.fuse(windows[:1], scores[:1], method=method, weight=weight)[0]
        assert np.argsort(-blended, kind="stable").tolist() == expected
