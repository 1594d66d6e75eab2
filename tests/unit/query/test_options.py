"""Options of ours are read in one order, and nothing of them reaches the engine."""

from __future__ import annotations

import json

import pytest

from connector import query
from connector.query import Plan, SearchRequest, options
from connector.settings import Policy


def request(body: object, **params: str) -> SearchRequest:
    return SearchRequest(index="docs", params=tuple(params.items()), body=json.dumps(body).encode())


def test_the_header_is_set_before_the_parameter_before_the_body() -> None:
    asked = request(
        {"ext": {"rerank_bridge": {"window": 1, "pins": 1, "model": "a"}}}, rerank_window="2", rerank_pins="2"
    )
    assert options.read({"X-Rerank-Window": "3", "Accept": "x"}, asked) == {"window": "3", "pins": "2", "model": "a"}


@pytest.mark.parametrize(
    ("headers", "params"), [({"X-Rerank": "false"}, {}), ({"x-rerank": "false"}, {}), ({}, {"rerank": "false"})]
)
def test_the_bare_option_switches_reranking(headers: dict[str, str], params: dict[str, str]) -> None:
    assert options.read(headers, request({}, **params)) == {"rerank": "false"}


def test_names_are_the_same_in_header_parameter_and_body() -> None:
    assert options.read({"X-Rerank-Min-Hits": "3"}, request({})) == {"min_hits": "3"}
    assert options.read({}, request({}, rerank_min_hits="3")) == {"min_hits": "3"}
    assert options.read({}, request({"ext": {"rerank_bridge": {"min_hits": 3}}})) == {"min_hits": 3}


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"ext":"rerank_bridge"}', b'{"ext":{"rerank_bridge":1}}', b'{"a":"rerank_bridge"}']
)
def test_a_body_without_options_has_none(body: bytes) -> None:
    assert options.read({}, SearchRequest(index="docs", body=body)) == {}


def test_what_is_reranked_is_sent_without_our_options() -> None:
    body = {"query": {"match": {"t": "red"}}, "ext": {"rerank_bridge": {"pins": 1}, "own": {"a": 1}}}
    decided = query.plan(request(body, rerank="true", rerank_window="5", routing="x"), Policy())
    assert isinstance(decided, Plan)
    assert decided.request.params == (("routing", "x"),)
    assert json.loads(decided.request.body)["ext"] == {"own": {"a": 1}}


def test_an_ext_that_held_nothing_else_is_left_out() -> None:
    stripped = options.strip(request({"size": 1, "ext": {"rerank_bridge": {}}}))
    assert json.loads(stripped.body) == {"size": 1}


@pytest.mark.parametrize(
    "body", [b"", b'{"ext":{"rerank":{"query_context":{}}}}', b'{"q":"rerank_bridge","n":1.10}', b'{"rerank_bridge"']
)
def test_a_request_without_our_options_stays_the_same_object(body: bytes) -> None:
    asked = SearchRequest(index="docs", params=(("reranker", "x"),), body=body)
    assert options.strip(asked) is asked
