"""What must grow with the window grows, and the window stops where a kNN search does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connector import query
from connector.query import Plan, SearchRequest
from connector.settings import Policy

MATCH = {"match": {"title": "red"}}
RRF = {"rrf": {"retrievers": [{"standard": {"query": MATCH}}]}}
SHORT_RRF = {"rrf": {"retrievers": [{"standard": {"query": MATCH}}], "rank_window_size": 10}}

LINEAR_PATH = "retriever.linear.retrievers.0.retriever.rrf.rank_window_size"


def planned(body: dict[str, Any], **policy: Any) -> tuple[Plan, dict[str, Any]]:
    request = SearchRequest(index="docs", body=json.dumps(body).encode())
    decided = query.plan(request, Policy(**policy), query_text="red")
    assert isinstance(decided, Plan), decided
    return decided, json.loads(decided.request.body)


def knn(k: int | None = 20, candidates: int | None = 40) -> dict[str, Any]:
    section: dict[str, Any] = {"field": "v", "query_vector": [1.0, 1.10]}
    return section | ({"k": k} if k else {}) | ({"num_candidates": candidates} if candidates else {})


@pytest.mark.parametrize(
    "body", [{"knn": knn()}, {"knn": [knn(8), knn(12)]}, {"query": {"knn": knn()}}, {"retriever": {"knn": knn()}}]
)
def test_a_search_by_vector_alone_is_reranked_over_its_k(body: dict[str, Any]) -> None:
    decided, sent = planned(body)
    assert decided.window == 20
    assert {name: sent[name] for name in body} == body


def test_opensearchs_form_is_known_too() -> None:
    decided, _ = planned({"query": {"knn": {"v": {"vector": [1.0], "k": 20}}}})
    assert decided.window == 20
    decided, _ = planned({"query": {"neural": {"v": {"query_text": "red", "k": 20}}}})
    assert decided.window == 20


def test_a_radial_search_has_no_k() -> None:
    decided, sent = planned({"query": {"knn": {"v": {"vector": [1.0], "min_score": 0.9}}}})
    assert decided.window == 50
    assert "k" not in sent["query"]["knn"]["v"]


def test_words_beside_the_vector_fill_the_window() -> None:
    decided, sent = planned({"query": MATCH, "knn": knn()})
    assert (decided.window, sent["knn"]["k"]) == (50, 20)


def test_a_k_that_follows_from_size_is_written_down_before_size_changes() -> None:
    decided, sent = planned({"query": MATCH, "knn": knn(None, None), "size": 7})
    assert (decided.window, sent["size"], sent["knn"]["k"]) == (50, 50, 7)


@pytest.mark.parametrize("aggregations", [{}, {"aggs": {"a": {"avg": {"field": "n"}}}}])
def test_k_is_raised_where_the_policy_says_so_but_never_with_aggregations(aggregations: dict[str, Any]) -> None:
    decided, sent = planned({"knn": knn(), **aggregations}, raise_k=True)
    expected = (20, 20, 40) if aggregations else (50, 50, 50)
    assert (decided.window, sent["knn"]["k"], sent["knn"]["num_candidates"]) == expected


def test_the_vector_itself_is_sent_as_it_came() -> None:
    raw = b'{"knn":{"field":"v","query_vector":[1.10,12345678901234567890123],"k":5,"num_candidates":9}}'
    decided = query.plan(SearchRequest(index="docs", body=raw), Policy(raise_k=True), query_text="red")
    assert isinstance(decided, Plan)
    assert b'"query_vector":[1.10,12345678901234567890123],"k":50,"num_candidates":50' in decided.request.body


def test_a_vector_in_a_filter_is_left_alone() -> None:
    body = {"query": {"bool": {"must": MATCH, "filter": {"knn": knn(5, 9)}}}}
    _, sent = planned(body, raise_k=True)
    assert sent["query"] == body["query"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"retriever": SHORT_RRF}, "retriever.rrf.rank_window_size"),
        ({"retriever": RRF}, "retriever.rrf.rank_window_size"),
        ({"retriever": {"linear": {"retrievers": [{"retriever": RRF}]}}}, LINEAR_PATH),
        ({"query": MATCH, "rank": {"rrf": {"rank_window_size": 10}}}, "rank.rrf.rank_window_size"),
        ({"query": MATCH, "rank": {"rrf": {"window_size": 10}}}, "rank.rrf.window_size"),
        ({"query": {"hybrid": {"queries": [MATCH], "pagination_depth": 10}}}, "query.hybrid.pagination_depth"),
        ({"query": MATCH, "rescore": {"window_size": 10, "query": {}}}, "rescore.window_size"),
        ({"query": MATCH, "rescore": {"query": {}}}, "rescore.window_size"),
        ({"query": MATCH, "rescore": [{"query": {}}, {"window_size": 20, "query": {}}]}, "rescore.1.window_size"),
    ],
)  # fmt: skip
def test_lists_that_are_fused_or_rescored_are_as_long_as_the_window(body: dict[str, Any], path: str) -> None:
    _, sent = planned(body)
    value: Any = sent
    for step in path.split("."):
        value = value[int(step) if isinstance(value, list) else step]
    assert value == 50


def test_a_longer_list_stays_as_long_as_it_is() -> None:
    _, sent = planned({"query": MATCH, "rescore": {"window_size": 200, "query": {}}})
    assert sent["rescore"]["window_size"] == 200


def test_the_length_of_a_list_is_the_same_for_every_page() -> None:
    body = {"query": MATCH, "rescore": {"window_size": 5, "query": {}}, "size": 10}
    lengths = {planned({**body, "from": from_})[1]["rescore"]["window_size"] for from_ in (0, 10, 45)}
    assert lengths == {50}


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "5"])
def test_a_length_that_the_engine_shall_refuse_is_left_to_it(value: Any) -> None:
    body = {"query": MATCH, "knn": knn() | {"k": value}, "rescore": {"window_size": value, "query": {}}}
    _, sent = planned(body, raise_k=True)
    assert {name: sent[name] for name in body} == body


def test_hybrid_without_a_depth_is_left_to_the_engine() -> None:
    _, sent = planned({"query": {"hybrid": {"queries": [MATCH]}}})
    assert "pagination_depth" not in sent["query"]["hybrid"]
