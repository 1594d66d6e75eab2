"""The question and the fields it is asked of are found in queries of every type."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from connector.query import discovery

MATCH = {"match": {"title": "red shoes"}}
CASES: list[tuple[dict[str, Any], str, tuple[str, ...]]] = [
    ({"match": {"title": "red shoes"}}, "red shoes", ("title",)),
    ({"match": {"title": {"query": "red shoes", "operator": "and"}}}, "red shoes", ("title",)),
    ({"match_phrase": {"title": "red shoes"}}, "red shoes", ("title",)),
    ({"match_phrase_prefix": {"title": {"query": "red sh"}}}, "red sh", ("title",)),
    ({"match_bool_prefix": {"title": "red sh"}}, "red sh", ("title",)),
    ({"multi_match": {"query": "red", "fields": ["title^3", "body"]}}, "red", ("title", "body")),
    ({"multi_match": {"query": "red", "fields": "title^2.5"}}, "red", ("title",)),
    ({"multi_match": {"query": "red"}}, "red", ()),
    ({"multi_match": {"query": "red", "fields": ["*"]}}, "red", ()),
    ({"multi_match": {"query": "red", "fields": ["title*", "a.*^2"]}}, "red", ("title*", "a.*")),
    ({"combined_fields": {"query": "red", "fields": ["title", "body"]}}, "red", ("title", "body")),
    ({"query_string": {"query": "title:red AND shoes", "fields": ["body"]}}, "red shoes", ("title", "body")),
    ({"query_string": {"query": "red", "default_field": "body"}}, "red", ("body",)),
    ({"query_string": {"query": "red shoes"}}, "red shoes", ()),
    ({"simple_query_string": {"query": '"red shoes" -old', "fields": ["title"]}}, "red shoes", ("title",)),
    ({"bool": {"must": MATCH, "filter": {"match": {"a": "no"}}}}, "red shoes", ("title",)),
    ({"bool": {"should": [MATCH, {"match": {"body": "red shoes"}}]}}, "red shoes", ("title", "body")),
    ({"bool": {"must": [MATCH], "must_not": [{"match": {"a": "no"}}]}}, "red shoes", ("title",)),
    ({"bool": {"must": MATCH, "should": {"match": {"body": "warm"}}}}, "red shoes warm", ("title", "body")),
    ({"dis_max": {"queries": [MATCH, {"match": {"body": "red shoes"}}]}}, "red shoes", ("title", "body")),
    ({"function_score": {"query": MATCH, "functions": []}}, "red shoes", ("title",)),
    ({"script_score": {"query": MATCH, "script": {"source": "1"}}}, "red shoes", ("title",)),
    ({"boosting": {"positive": MATCH, "negative": {"match": {"a": "no"}}}}, "red shoes", ("title",)),
    ({"constant_score": {"filter": MATCH}}, "red shoes", ("title",)),
    ({"nested": {"path": "c", "query": {"match": {"c.text": "red"}}}}, "red", ("c.text",)),
    ({"has_child": {"type": "x", "query": MATCH}}, "red shoes", ()),
    ({"intervals": {"title": {"match": {"query": "red shoes"}}}}, "red shoes", ("title",)),
    ({"semantic": {"field": "content", "query": "red"}}, "red", ("content",)),
    ({"sparse_vector": {"field": "v", "inference_id": "m", "query": "red"}}, "red", ()),
    ({"text_expansion": {"v": {"model_id": "m", "model_text": "red"}}}, "red", ()),
    ({"neural": {"v": {"query_text": "red", "model_id": "m", "k": 5}}}, "red", ()),
    ({"neural_sparse": {"v": {"query_text": "red"}}}, "red", ()),
    ({"hybrid": {"queries": [MATCH, {"neural": {"v": {"query_text": "red shoes"}}}]}}, "red shoes", ("title",)),
    ({"knn": {"field": "v", "query_vector_builder": {"text_embedding": {"model_text": "red"}}}}, "red", ()),
    ({"wrapper": {"query": base64.b64encode(json.dumps(MATCH).encode()).decode()}}, "red shoes", ("title",)),
    ({"pinned": {"ids": ["1"], "organic": MATCH}}, "red shoes", ("title",)),
]
NO_TEXT: list[dict[str, Any]] = [
    {"match_all": {}},
    {"ids": {"values": ["1"]}},
    {"term": {"tag": "red"}},
    {"terms": {"tag": ["red"]}},
    {"range": {"year": {"gte": 1}}},
    {"exists": {"field": "a"}},
    {"prefix": {"a": "re"}},
    {"bool": {"filter": [MATCH]}},
    {"bool": {"must_not": MATCH, "must": {"term": {"a": "b"}}}},
    {"match": {"year": 1999}},
    {"knn": {"field": "v", "query_vector": [1.0]}},
    {"knn": {"v": {"vector": [1.0], "k": 2}}},
    {"query_string": {"query": "year:[1990 TO 2000] AND *:*"}},
    {"wrapper": {"query": "%%%"}},
    {"match": "red"},
    {"nonsense": {"query": "red"}},
]


@pytest.mark.parametrize(("query", "text", "fields"), CASES)
def test_the_question_is_found(query: dict[str, Any], text: str, fields: tuple[str, ...]) -> None:
    found = discovery.discover({"query": query})
    assert (found.text, found.fields) == (text, fields)


@pytest.mark.parametrize("query", NO_TEXT)
def test_filters_terms_and_vectors_are_no_question(query: dict[str, Any]) -> None:
    assert discovery.discover({"query": query}).text == ""


@pytest.mark.parametrize(
    ("retriever", "text", "fields"),
    [
        ({"standard": {"query": MATCH}}, "red shoes", ("title",)),
        ({"rrf": {"retrievers": [{"standard": {"query": MATCH}}, {"knn": {"field": "v"}}]}}, "red shoes", ("title",)),
        ({"rrf": {"query": "red", "fields": ["title", "v"]}}, "red", ("title", "v")),
        ({"linear": {"retrievers": [{"retriever": {"standard": {"query": MATCH}}}]}}, "red shoes", ("title",)),
        ({"rescorer": {"retriever": {"standard": {"query": MATCH}}}}, "red shoes", ("title",)),
        ({"knn": {"field": "v", "query_vector_builder": {"text_embedding": {"model_text": "red"}}}}, "red", ()),
    ],
)
def test_the_question_is_found_in_retriever_trees(
    retriever: dict[str, Any], text: str, fields: tuple[str, ...]
) -> None:
    found = discovery.discover({"retriever": retriever})
    assert (found.text, found.fields) == (text, fields)


@pytest.mark.parametrize("several", [True, False])
def test_the_question_is_found_in_the_knn_section(several: bool) -> None:
    section = {"field": "v", "query_vector_builder": {"text_embedding": {"model_text": "red"}}}
    found = discovery.discover({"knn": [section] if several else section})
    assert (found.text, found.lexical) == ("red", False)


def test_one_clause_of_unknown_fields_leaves_all_untold() -> None:
    query = {"bool": {"should": [MATCH, {"query_string": {"query": "warm"}}]}}
    assert discovery.discover({"query": query}).fields == ()


def test_a_query_without_end_is_no_reason_to_fail() -> None:
    query: dict[str, Any] = MATCH
    for _ in range(500):
        query = {"bool": {"must": query}}
    assert discovery.discover({"query": query}).text == ""


def test_a_url_search_is_read_as_a_query_string() -> None:
    assert discovery.of_url("title:red AND NOT old", None).fields == ("title",)
    assert discovery.of_url("red shoes", "body").fields == ("body",)
    assert discovery.of_url("red shoes", None).fields == ()
