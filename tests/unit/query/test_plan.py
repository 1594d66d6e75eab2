"""Which searches are reranked, over which window, and what is sent to the engine in their place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector import query
from connector.query import Plan, Reason, SearchRequest, Skip
from connector.settings import Policy, TextTemplate

MATCH = {"query": {"match": {"title": "red shoes"}}}


def plan(body: Any = MATCH, policy: Policy | None = None, query_text: str | None = None, **params: str) -> Plan | Skip:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = SearchRequest(index="docs", params=tuple(params.items()), body=raw)
    return query.plan(request, policy or Policy(), query_text=query_text)


def planned(body: Any = MATCH, policy: Policy | None = None, **params: str) -> Plan:
    decided = plan(body, policy, **params)
    assert isinstance(decided, Plan), decided
    return decided


def sent(decided: Plan) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(decided.request.body)
    return body


@pytest.mark.parametrize(
    ("paging", "window", "fetched"),
    [({}, 50, 50), ({"size": 80}, 50, 80), ({"from": 45, "size": 10}, 50, 55), ({"from": 20, "size": 10}, 50, 50)],
)
def test_the_engine_is_asked_for_the_window_from_the_first_hit(
    paging: dict[str, int], window: int, fetched: int
) -> None:
    decided = planned({**MATCH, **paging})
    assert (sent(decided)["from"], sent(decided)["size"], decided.window) == (0, fetched, window)
    assert (decided.from_, decided.size) == (paging.get("from", 0), paging.get("size", 10))


def test_paging_in_the_url_wins_over_the_body_and_is_sent_in_the_body() -> None:
    decided = planned({**MATCH, "from": 1, "size": 2}, **{"from": "3", "size": "4", "routing": "x"})
    assert (decided.from_, decided.size) == (3, 4)
    assert decided.request.params == (("routing", "x"),)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({**MATCH, "from": 50}, Reason.BEYOND_WINDOW),
        ({**MATCH, "size": 0}, Reason.NO_HITS_ASKED),
        ({**MATCH, "from": 9, "size": 9_995}, Reason.BEYOND_LIMIT),
        ({**MATCH, "size": -1}, Reason.MALFORMED),
        ({**MATCH, "size": 1.5}, Reason.MALFORMED),
        (b"{", Reason.MALFORMED),
        (b"[]", Reason.MALFORMED),
        (b'{"size":1,"size":2}', Reason.MALFORMED),
        (b'{"query":{"match":{"t":"\\ud800"}}}', Reason.MALFORMED),
        ({"query": {"match_all": {}}}, Reason.NO_QUERY_TEXT),
        ({"aggs": {}}, Reason.NO_QUERY_TEXT),
        (b"", Reason.NO_QUERY_TEXT),
    ],
)
def test_a_search_that_is_not_reranked_says_why(body: Any, reason: Reason) -> None:
    assert plan(body) == Skip(reason)


def test_a_window_and_a_page_together_never_exceed_what_the_engine_returns() -> None:
    decided = planned({**MATCH, "from": 9_980, "size": 20}, Policy(window=10_000))
    assert sent(decided)["size"] == 10_000


def test_a_query_shorter_than_the_policy_asks_for_is_left_alone() -> None:
    assert plan(policy=Policy(min_query_terms=3)) == Skip(Reason.SHORT_QUERY)


def test_every_other_byte_of_the_body_is_sent_as_it_came() -> None:
    raw = (
        b'{ "query" : {"match":{"title":"red\\u0020shoes"}},"aggs":{"a":{"sum":{"field":"n","missing":1.10}}},"size":3}'
    )
    body = planned(raw).request.body
    assert b'{"match":{"title":"red\\u0020shoes"}}' in body
    assert b'"missing":1.10' in body
    assert body.count(b'"size"') == 1


def test_the_source_parameter_is_a_body() -> None:
    decided = planned(b"", source=json.dumps(MATCH), source_content_type="application/json", preference="p")
    assert decided.query == "red shoes"
    assert decided.request.params == (("preference", "p"),)
    assert b"red shoes" in decided.request.body


def test_what_the_engine_refuses_about_the_source_parameter_it_shall_refuse() -> None:
    assert plan(b"", source=json.dumps(MATCH)) == Skip(Reason.MALFORMED)
    assert plan(MATCH, source=json.dumps(MATCH), source_content_type="application/json") == Skip(Reason.MALFORMED)
    assert plan(b"", source="x", source_content_type="application/yaml") == Skip(Reason.MALFORMED)
    assert plan(b"", source=json.dumps(MATCH), source_content_type="application/yaml") == Skip(Reason.FORMAT)


def test_a_url_query_takes_the_place_of_the_bodys() -> None:
    decided = planned(MATCH, q="body:warm")
    assert (decided.query, decided.fields) == ("warm", ("body",))
    assert ("q", "body:warm") in decided.request.params


def test_the_fields_come_from_the_policy_then_the_query_then_the_mapping() -> None:
    request = SearchRequest(index="docs", body=json.dumps({"query": {"query_string": {"query": "red"}}}).encode())
    assert query.plan(request, Policy(), text_fields=["all"]).fields == ("all",)  # type: ignore[union-attr]
    assert planned().fields == ("title",)
    assert planned(policy=Policy(text=TextTemplate(fields=("body",)))).fields == ("body",)


def test_a_question_from_outside_takes_the_place_of_the_requests() -> None:
    body = {"knn": {"field": "v", "query_vector": [1.0], "k": 20, "num_candidates": 50}}
    decided = plan(body, query_text=" warm  shoes ")
    assert isinstance(decided, Plan)
    assert (decided.query, decided.window) == ("warm shoes", 20)


def test_a_named_search_pipeline_is_handed_on_to_be_looked_up() -> None:
    assert planned({**MATCH, "search_pipeline": "mine"}).pipeline == "mine"
    assert planned(search_pipeline="mine").pipeline == "mine"


@pytest.mark.parametrize(
    "constant",
    [
        {"constant_score": {"filter": {"match": {"title": "red"}}}},
        {"bool": {"must": [{"constant_score": {"filter": {"match": {"title": "red"}}}}]}},
    ],
)
def test_a_first_stage_of_equal_scores_is_read_from_the_same_shards_for_every_page(constant: Any) -> None:
    first, second = planned({"query": constant}), planned({"query": constant, "from": 20})
    assert dict(first.request.params)["preference"] == dict(second.request.params)["preference"]
    assert "preference" not in dict(planned().request.params)
    assert dict(planned({"query": constant}, preference="own").request.params) == {"preference": "own"}
    assert "preference" not in dict(planned({"query": constant, "pit": {"id": "x"}}).request.params)


@given(st.integers(0, 60), st.integers(1, 60), st.integers(1, 60))
def test_pages_inside_the_window_all_send_one_request(from_: int, size: int, window: int) -> None:
    policy = Policy(window=window)
    decided = plan({**MATCH, "from": from_, "size": size}, policy)
    if from_ >= window:
        assert decided == Skip(Reason.BEYOND_WINDOW)
        return
    assert isinstance(decided, Plan)
    assert sent(decided)["size"] == max(window, from_ + size)
    assert decided.window == window


def test_every_reason_has_a_sentence() -> None:
    assert len({reason.sentence for reason in Reason}) == len(Reason)
