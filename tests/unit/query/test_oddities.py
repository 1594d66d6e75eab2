"""No request is too odd to be decided, and whatever is decided can be sent."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector import msearch, query
from connector.pieces import Unreadable
from connector.query import Plan, Reason, SearchRequest, Skip, options
from connector.settings import Policy

MATCH: dict[str, Any] = {"match": {"title": {"query": "red"}}}
VECTOR = {"field": "v", "query_vector": [1.0], "k": 5, "num_candidates": 9, "filter": [MATCH]}
TEXT_VECTOR = {"field": "v", "query_vector_builder": {"text_embedding": {"model_text": "red"}}}
#: A request of every kind; each of its pieces is replaced by something odd.
RICH: list[dict[str, Any]] = [
    {"query": MATCH, "from": 1, "size": 2, "sort": [{"_score": {"order": "desc"}}], "_source": {"includes": ["a"]}},
    {"query": MATCH, "_source": ["date"], "fields": ["a"], "stored_fields": ["b"], "docvalue_fields": [{"field": "c"}]},
    {
        "query": MATCH,
        "highlight": {"fields": {"a": {}}},
        "post_filter": MATCH,
        "collapse": {"field": "a"},
        "aggs": {"a": {}},
    },
    {"query": MATCH, "explain": True, "rescore": [{"window_size": 3, "query": {"rescore_query": MATCH}}]},
    {"query": MATCH, "rank": {"rrf": {"rank_window_size": 3}}, "knn": [VECTOR, TEXT_VECTOR], "pit": {"id": "x"}},
    {
        "query": MATCH,
        "search_pipeline": {"response_processors": [{"rename_field": {}}]},
        "ext": {"rerank_bridge": {"a": 1}},
    },
    {"query": {"bool": {"must": [MATCH], "should": MATCH, "filter": [MATCH], "must_not": [MATCH]}}},
    {"query": {"multi_match": {"query": "red", "fields": ["a^2", "b*"]}}},
    {"query": {"query_string": {"query": "a:red", "fields": ["b"], "default_field": "c"}}},
    {"query": {"simple_query_string": {"query": "red", "fields": ["b"]}}},
    {"query": {"dis_max": {"queries": [MATCH]}}},
    {"query": {"function_score": {"query": MATCH, "functions": [{"weight": 1, "filter": MATCH}]}}},
    {"query": {"boosting": {"positive": MATCH, "negative": MATCH}}},
    {"query": {"constant_score": {"filter": MATCH}}},
    {"query": {"nested": {"path": "c", "query": MATCH, "inner_hits": {"size": 1}}}},
    {"query": {"has_child": {"type": "c", "query": MATCH}}},
    {"query": {"intervals": {"a": {"match": {"query": "red"}}}}},
    {"query": {"semantic": {"field": "a", "query": "red"}}},
    {"query": {"sparse_vector": {"field": "a", "query": "red"}}},
    {"query": {"neural": {"v": {"query_text": "red", "k": 5}}}},
    {"query": {"knn": {"v": {"vector": [1.0], "k": 5}}}},
    {"query": {"knn": VECTOR}},
    {"query": {"wrapper": {"query": "eyJtYXRjaCI6IHsiYSI6ICJyZWQifX0="}}},
    {"query": {"hybrid": {"queries": [MATCH], "pagination_depth": 5}}},
    {"query": {"pinned": {"ids": ["1"], "organic": MATCH}}},
    {"retriever": {"rrf": {"retrievers": [{"standard": {"query": MATCH}}, {"knn": VECTOR}], "rank_window_size": 5}}},
    {"retriever": {"linear": {"retrievers": [{"retriever": {"standard": {"query": MATCH}}, "weight": 2}]}}},
    {"retriever": {"rrf": {"query": "red", "fields": ["a"]}}},
    {
        "retriever": {
            "rrf": {"retrievers": [{"text_similarity_reranker": {"retriever": {"standard": {"query": MATCH}}}}]}
        }
    },
    {"retriever": {"rescorer": {"retriever": {"standard": {"query": MATCH}}, "rescore": {"window_size": 3}}}},
]
ODD = [None, True, 5, -1, 1.5, 10**30, "", "red", [], [1], [None], [[]], ["a"], {}, {"query": 5}, {"a": {"b": 1}}]
PARAMS = [
    (),
    (("filter_path", "hits.hits._id"),),
    (("q", "red AND"), ("explain", "")),
    (("_source", "a"), ("sort", ",")),
]


def pieces(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of every value inside."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, element in inner:
        yield (*path, step)
        yield from pieces(element, (*path, step))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of `value` with `new` at `path`."""
    if not path:
        return new
    if isinstance(value, dict):
        return {key: put(element, path[1:], new) if key == path[0] else element for key, element in value.items()}
    return [put(element, path[1:], new) if place == path[0] else element for place, element in enumerate(value)]


@pytest.mark.parametrize("body", RICH, ids=lambda body: str(next(iter(body.values())))[:40])
def test_whatever_a_piece_of_a_request_is_the_request_is_decided(body: dict[str, Any]) -> None:
    for path, odd in itertools.product(pieces(body), ODD):
        raw = json.dumps(put(body, path, odd)).encode()
        for params in PARAMS:
            request = SearchRequest(index="i", params=params, body=raw)
            options.read({}, request)
            decided = query.plan(request, Policy(raise_k=True), query_text="red")
            if isinstance(decided, Plan):
                sent = json.loads(decided.request.body)
                assert sent["size"] >= decided.window >= 1


@given(st.binary())
def test_bytes_that_are_no_request_are_left_to_the_engine(body: bytes) -> None:
    decided = query.plan(SearchRequest(index="i", body=body), Policy(), query_text="red")
    if isinstance(decided, Plan):
        json.loads(decided.request.body)
    with contextlib.suppress(Unreadable):
        assert msearch.join(msearch.split(body, index="i")) == body


@pytest.mark.parametrize("depth", [50, 300, 900, 100_000])
def test_nesting_without_end_is_left_to_the_engine(depth: int) -> None:
    body = b'{"query":' + b'{"bool":{"must":[' * depth + b"{}" + b"]}}" * depth + b"}"
    decided = query.plan(SearchRequest(index="i", body=body), Policy(), query_text="red")
    assert isinstance(decided, Plan) or decided == Skip(Reason.MALFORMED)
