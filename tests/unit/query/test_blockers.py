"""What in a request forbids reranking, each with its own reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connector import query
from connector.query import Plan, Reason, SearchRequest, Skip, blockers
from connector.settings import Policy

MATCH = {"query": {"match": {"title": "red"}}}
BLOCKED: list[tuple[dict[str, Any], Reason]] = [
    ({"sort": ["date"]}, Reason.SORT),
    ({"sort": "date"}, Reason.SORT),
    ({"sort": [{"_score": "asc"}]}, Reason.SORT),
    ({"sort": [{"_score": {"order": "asc"}}]}, Reason.SORT),
    ({"sort": ["_score", "id"]}, Reason.SORT),
    ({"sort": {"date": "desc"}}, Reason.SORT),
    ({"sort": ["_score"], "pit": {"id": "x"}}, Reason.SORT),
    ({"search_after": [1]}, Reason.SEARCH_AFTER),
    ({"slice": {"id": 0, "max": 2}}, Reason.SLICE),
    ({"ext": {"rerank": {"query_context": {}}}}, Reason.ALREADY_RERANKED),
    ({"rank": {"other": {}}}, Reason.ALREADY_RERANKED),
    ({"search_pipeline": {"response_processors": [{"rerank": {}}]}}, Reason.SEARCH_PIPELINE),
    ({"search_pipeline": {"response_processors": [{"truncate_hits": {}}]}}, Reason.SEARCH_PIPELINE),
]
ALLOWED: list[dict[str, Any]] = [
    {"sort": []},
    {"sort": "_score"},
    {"sort": ["_score"]},
    {"sort": [{"_score": "desc"}]},
    {"sort": {"_score": {"order": "desc"}}},
    {"sort": [{"_score": {}}]},
    {"search_after": []},
    {"pit": {"id": "x"}},
    {"rank": {"rrf": {}}},
    {"search_pipeline": {"response_processors": [{"rename_field": {}}]}},
    {"search_pipeline": "named"},
]


def decide(body: dict[str, Any], params: dict[str, str] | None = None) -> Plan | Skip:
    request = SearchRequest(index="docs", params=tuple((params or {}).items()), body=json.dumps(body).encode())
    return query.plan(request, Policy())


@pytest.mark.parametrize(("extra", "reason"), BLOCKED)
def test_the_body_forbids_it(extra: dict[str, Any], reason: Reason) -> None:
    assert decide({**MATCH, **extra}) == Skip(reason)


@pytest.mark.parametrize("extra", ALLOWED)
def test_the_body_does_not_forbid_it(extra: dict[str, Any]) -> None:
    assert isinstance(decide({**MATCH, **extra}), Plan)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"format": "yaml"}, Reason.FORMAT),
        ({"format": "cbor"}, Reason.FORMAT),
        ({"pretty": ""}, Reason.FORMAT),
        ({"pretty": "true"}, Reason.FORMAT),
        ({"scroll": "1m"}, Reason.SCROLL),
        ({"sort": "date:desc"}, Reason.SORT),
        ({"sort": "_score:asc"}, Reason.SORT),
        ({"sort": "_score,id"}, Reason.SORT),
    ],
)
def test_the_url_forbids_it(params: dict[str, str], reason: Reason) -> None:
    assert decide(MATCH, params) == Skip(reason)


@pytest.mark.parametrize(
    "params", [{"format": "JSON"}, {"pretty": "false"}, {"sort": "_score:desc"}, {"sort": "_score"}, {"sort": ""}]
)
def test_the_url_does_not_forbid_it(params: dict[str, str]) -> None:
    assert isinstance(decide(MATCH, params), Plan)


def test_a_sort_in_the_url_does_not_hide_the_bodys() -> None:
    assert decide({**MATCH, "sort": ["date"]}, {"sort": "_score:desc"}) == Skip(Reason.SORT)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"query": {"pinned": {"ids": ["1"], "organic": MATCH["query"]}}}, Reason.PINNED),
        ({"query": {"rule": {"ruleset_ids": ["r"], "organic": MATCH["query"]}}}, Reason.PINNED),
        ({"retriever": {"pinned": {"ids": ["1"], "retriever": {"standard": MATCH}}}}, Reason.PINNED),
        ({"retriever": {"rule": {"ruleset_ids": ["r"], "retriever": {"standard": MATCH}}}}, Reason.PINNED),
        ({"retriever": {"text_similarity_reranker": {"retriever": {"standard": MATCH}}}}, Reason.ALREADY_RERANKED),
    ],
)
def test_what_reranks_or_pins_outermost_keeps_its_order(body: dict[str, Any], reason: Reason) -> None:
    assert decide(body) == Skip(reason)


def test_what_reranks_inside_of_a_fusion_is_one_list_of_several() -> None:
    inner = {"text_similarity_reranker": {"retriever": {"standard": MATCH}, "rank_window_size": 20}}
    decided = decide({"retriever": {"rrf": {"retrievers": [inner, {"standard": MATCH}], "rank_window_size": 30}}})
    assert isinstance(decided, Plan)
    assert decided.window == 30


def test_a_pipeline_is_judged_by_its_response_processors() -> None:
    assert blockers.pipeline_reranks({"response_processors": [{"rename_field": {}}, {"rerank": {}}]})
    assert not blockers.pipeline_reranks({"phase_results_processors": [{"normalization-processor": {}}]})
