"""Whatever the scores and the pages: no hit is lost or shown twice, and the scores never rise from page to page."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connector import fusion, merge, query
from connector.query import Plan, SearchRequest
from connector.settings import Policy

MATCHING = 40


class Engine:
    """A first stage that answers `from` and `size` as an engine does."""

    def __init__(self, scores: list[float]) -> None:
        self.hits = [
            {"_index": "i", "_id": str(place), "_score": score, "_source": {"t": "text"}}
            for place, score in enumerate(sorted(scores, reverse=True))
        ]

    def search(self, body: bytes) -> bytes:
        asked = json.loads(body)
        from_, size = asked.get("from", 0), asked.get("size", 10)
        top = self.hits[0]["_score"] if self.hits else None
        hits = {"max_score": top, "hits": self.hits[from_ : from_ + size]}
        return json.dumps({"took": 1, "hits": hits}).encode()

    def reranked(self, from_: int, size: int, policy: Policy, scores: list[float | None]) -> dict[str, Any]:
        body = json.dumps({"query": {"match": {"t": "red"}}, "from": from_, "size": size}).encode()
        plan = query.plan(SearchRequest(index="i", body=body), policy)
        if not isinstance(plan, Plan):
            answer = self.search(body)
        else:
            page = merge.read(self.search(plan.request.body))
            window = page.hits[: plan.window]
            order = fusion.rank([h.score for h in window], scores[: len(window)], policy.fusion, pins=policy.pins)
            answer = merge.merge(page, plan, order, policy=policy, took_ms=0)
        found: dict[str, Any] = json.loads(answer)["hits"]
        return found


engines = st.lists(st.floats(0, 100, width=32), max_size=MATCHING).map(Engine)
model_scores = st.lists(st.none() | st.floats(-30, 30), min_size=MATCHING, max_size=MATCHING)
policies = st.builds(
    Policy,
    window=st.integers(1, MATCHING + 5),
    scores=st.sampled_from(["engine", "rerank"]),
    pins=st.integers(0, 3),
    fusion=st.builds(fusion.Fusion, method=st.sampled_from(["none", "rrf", "minmax", "zscore"])),
)


@given(engines, model_scores, policies, st.integers(1, 17))
def test_concatenated_pages_are_a_permutation_without_gap_or_repeat(
    engine: Engine, scores: list[float | None], policy: Policy, size: int
) -> None:
    shown = [
        hit for from_ in range(0, MATCHING + size, size) for hit in engine.reranked(from_, size, policy, scores)["hits"]
    ]
    assert sorted(int(hit["_id"]) for hit in shown) == list(range(len(engine.hits)))
    window = min(policy.window, len(engine.hits))
    assert {hit["_id"] for hit in shown[:window]} == {hit["_id"] for hit in engine.hits[:window]}
    assert [hit["_id"] for hit in shown[window:]] == [hit["_id"] for hit in engine.hits[window:]]
    values = [hit["_score"] for hit in (shown if policy.scores == "engine" else shown[:window])]
    assert values == sorted(values, reverse=True)


@given(engines, model_scores, policies, st.integers(0, MATCHING), st.integers(1, MATCHING))
def test_a_page_shows_what_stands_there_in_the_whole(
    engine: Engine, scores: list[float | None], policy: Policy, from_: int, size: int
) -> None:
    whole = engine.reranked(0, MATCHING, policy, scores)
    page = engine.reranked(from_, size, policy, scores)
    assert [hit["_id"] for hit in page["hits"]] == [hit["_id"] for hit in whole["hits"][from_ : from_ + size]]
    if policy.scores == "engine" or from_ < policy.window:
        assert page["hits"] == whole["hits"][from_ : from_ + size]
        assert page["max_score"] == whole["max_score"]


@given(engines, model_scores, policies)
def test_the_scores_of_one_page_never_rise_and_max_score_is_their_first(
    engine: Engine, scores: list[float | None], policy: Policy
) -> None:
    found = engine.reranked(0, MATCHING, policy, scores)
    values = [hit["_score"] for hit in found["hits"]]
    assert values == sorted(values, reverse=True)
    assert all(value >= 0 for value in values)
    assert found["max_score"] == (values[0] if values else None)
