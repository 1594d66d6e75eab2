"""Costly fetch options are computed for the client's page only, by a second request that is narrowed to its hits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connector import query
from connector.page import Hit, Page, read
from connector.pieces import Unreadable
from connector.query import Plan, SearchRequest, two_phase
from connector.settings import Policy

MATCH = {"query": {"match": {"title": "red"}}}


def decide(body: dict[str, Any], window: int = 50, **params: str) -> Plan:
    request = SearchRequest(index="docs", params=tuple(params.items()), body=json.dumps({**MATCH, **body}).encode())
    decided = query.plan(request, Policy(window=window))
    assert isinstance(decided, Plan), decided
    return decided


def second_of(decided: Plan) -> SearchRequest:
    assert decided.second is not None
    return decided.second


def hit(index: str, id_: str, **members: Any) -> Hit:
    return Hit(json.dumps({"_index": index, "_id": id_, "_score": 1.0, **members}).encode())


def page(*hits: Hit) -> Page:
    return read(b'{"hits":{"hits":[' + b",".join(hit.raw for hit in hits) + b"]}}")


NESTED = {"nested": {"path": "c", "query": {"match": {"c.t": "red"}}, "inner_hits": {"size": 1}}}


@pytest.mark.parametrize(
    "costly",
    [
        {"highlight": {"fields": {"title": {}}}},
        {"explain": True},
        {"script_fields": {"a": {"script": "1"}}},
        {"query": {"bool": {"must": [NESTED, MATCH["query"]]}}},
    ],
)
def test_costly_options_are_fetched_for_the_page_alone(costly: dict[str, Any]) -> None:
    decided = decide({**costly, "_source": ["date"], "aggs": {"a": {"avg": {"field": "n"}}}})
    first, second = json.loads(decided.request.body), json.loads(second_of(decided).body)
    assert not {"highlight", "explain", "script_fields"} & set(first)
    assert "inner_hits" not in json.dumps(first)
    assert (first["size"], first["aggs"]) == (50, {"a": {"avg": {"field": "n"}}})
    assert set(decided.fields) <= set(first["_source"])
    assert {name: second[name] for name in costly} == costly
    assert second["_source"] == ["date"]
    assert "aggs" not in second
    assert second["track_total_hits"] is False


def test_both_requests_have_the_same_first_stage() -> None:
    vector = {"field": "v", "query_vector": [1.0], "k": 3, "num_candidates": 5}
    request = SearchRequest(index="docs", body=json.dumps({"knn": vector, "explain": True}).encode())
    decided = query.plan(request, Policy(raise_k=True), query_text="red")
    assert isinstance(decided, Plan)
    assert json.loads(second_of(decided).body)["knn"] == json.loads(decided.request.body)["knn"]


def test_the_url_is_shared_out_as_the_body_is() -> None:
    decided = decide({}, explain="true", _source_includes="date", routing="x", rest_total_hits_as_int="true", size="5")
    assert dict(decided.request.params) == {"routing": "x", "rest_total_hits_as_int": "true"}
    shared = {"routing": "x", "rest_total_hits_as_int": "true"}
    assert dict(second_of(decided).params) == {"explain": "true", "_source_includes": "date", **shared}
    assert json.loads(second_of(decided).body)["track_total_hits"] is True  # the engines' condition for plain totals


@pytest.mark.parametrize(
    ("body", "params"),
    [
        ({"highlight": {}, "size": 40}, {}),
        ({"docvalue_fields": ["n"]}, {}),
        ({"explain": False}, {}),
        ({"highlight": {"fields": {}}, "collapse": {"field": "n", "inner_hits": {"name": "g"}}}, {}),
        ({"highlight": {"fields": {}}, "rescore": {"query": {}}}, {}),
        ({"highlight": {"fields": {}}}, {"filter_path": "hits"}),
        ({"query": {"hybrid": {"queries": [MATCH["query"]]}}, "highlight": {"fields": {}}}, {}),
    ],
)
def test_one_request_is_enough_where_a_second_is_not_cheaper_or_not_possible(
    body: dict[str, Any], params: dict[str, str]
) -> None:
    assert decide(body, **params).second is None


def test_the_second_request_is_narrowed_to_index_and_id_of_each_hit() -> None:
    decided = decide({"explain": True, "post_filter": {"term": {"a": 1.10}}})
    narrowed = two_phase.narrowed(second_of(decided), [hit("a", "1"), hit("b", "1"), hit("a", "2")])
    body = json.loads(narrowed.body)
    client, ours = body["post_filter"]["bool"]["filter"]
    assert client == {"term": {"a": 1.10}}
    assert ours["bool"]["should"] == [
        {"bool": {"filter": [{"term": {"_index": "a"}}, {"ids": {"values": ["1", "2"]}}]}},
        {"bool": {"filter": [{"term": {"_index": "b"}}, {"ids": {"values": ["1"]}}]}},
    ]
    assert (body["from"], body["query"]) == (0, MATCH["query"])


def test_what_comes_back_is_put_in_the_order_of_the_page() -> None:
    asked = [hit("a", "1"), hit("b", "1"), hit("a", "1", _routing="r")]
    found = page(hit("a", "1", _routing="r", n=3), hit("x", "9"), hit("b", "1", n=2), hit("a", "1", n=1))
    assert [json.loads(hit.raw)["n"] for hit in two_phase.arranged(asked, found)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ([hit("a", "1"), hit("a", "2")], [hit("a", "1")]),
        ([hit("a", "1")], [hit("a", "1"), hit("a", "1")]),
        ([hit("a", "1"), hit("a", "1")], [hit("a", "1")]),
    ],
)
def test_a_hit_that_is_gone_or_looks_like_another_is_not_guessed_at(asked: list[Hit], found: list[Hit]) -> None:
    with pytest.raises(Unreadable):
        two_phase.arranged(asked, page(*found))


def test_a_hit_without_an_id_cannot_be_asked_for() -> None:
    with pytest.raises(Unreadable):
        two_phase.narrowed(second_of(decide({"explain": True})), [Hit(b'{"_score":1.0}')])
