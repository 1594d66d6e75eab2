"""The text of the hits comes along whatever the client asked to see, and what we added is named to be cut."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connector import query
from connector.query import Plan, Reason, SearchRequest, Skip
from connector.settings import Policy

MATCH = {"query": {"multi_match": {"query": "red", "fields": ["title", "body.english"]}}}

PART = "hits.hits._source.date,hits.total"
FIELDS_AND_SCORE = ",hits.hits.fields,hits.hits._score"


def decide(body: dict[str, Any], **params: str) -> Plan | Skip:
    request = SearchRequest(index="docs", params=tuple(params.items()), body=json.dumps({**MATCH, **body}).encode())
    return query.plan(request, Policy())


def planned(body: dict[str, Any], **params: str) -> tuple[Plan, dict[str, Any], dict[str, str]]:
    decided = decide(body, **params)
    assert isinstance(decided, Plan), decided
    return decided, json.loads(decided.request.body), dict(decided.request.params)


@pytest.mark.parametrize(
    ("body", "params"),
    [
        ({}, {}),
        ({"_source": True}, {}),
        ({"_source": []}, {}),
        ({"_source": ["title", "body"]}, {}),
        ({"_source": ["ti*", "body*"]}, {}),
        ({"_source": {"excludes": ["vector"]}}, {}),
        ({"_source": {"include": ["title", "body.*"], "exclude": ["other"]}}, {}),
        ({"_source": False}, {"_source": "true"}),
        ({"_source": False}, {"_source_excludes": "vector"}),
        ({"stored_fields": ["date", "_source"]}, {}),
        ({"fields": ["date"], "docvalue_fields": ["n"]}, {}),
    ],
)
def test_nothing_is_added_where_the_client_sees_the_text(body: dict[str, Any], params: dict[str, str]) -> None:
    decided, sent, sent_params = planned(body, **params)
    assert decided.cut == ()
    assert {name: sent[name] for name in body} == body
    assert sent_params == params


@pytest.mark.parametrize(
    ("body", "params"),
    [
        ({"_source": False}, {}),
        ({}, {"_source": "false"}),
        ({"_source": ["title"]}, {"_source": "false", "_source_includes": "title"}),
        ({"stored_fields": ["date"]}, {}),
        ({}, {"stored_fields": "date"}),
        ({"_source": False, "fields": ["title"], "docvalue_fields": ["n"], "collapse": {"field": "n"}}, {}),
    ],
)
def test_a_client_without_source_gets_none(body: dict[str, Any], params: dict[str, str]) -> None:
    decided, sent, sent_params = planned(body, **params)
    assert decided.cut == ("_source",)
    assert sent["_source"] == ["title", "body.english", "body"]
    assert not any(name.startswith("_source") for name in sent_params)
    assert decided.second is None


@pytest.mark.parametrize(
    ("body", "params"),
    [
        ({"_source": ["date"]}, {}),
        ({"_source": "title,body"}, {}),  # one pattern, in the body
        ({"_source": "false"}, {}),
        ({"_source": {"excludes": ["body"]}}, {}),
        ({"_source": {"excludes": ["*.english"]}}, {}),
        ({"_source": ["title"]}, {}),
        ({}, {"_source": "title"}),
        ({}, {"_source_excludes": "body.english"}),
    ],
)
def test_a_client_that_sees_a_part_gets_that_part(body: dict[str, Any], params: dict[str, str]) -> None:
    decided, sent, sent_params = planned(body, **params)
    assert decided.cut == ("fields",)
    assert sent["fields"] == ["title", "body.english"]
    assert sent.get("_source") == body.get("_source")
    assert sent_params == params


@pytest.mark.parametrize(
    "option",
    [{"fields": ["date"]}, {"docvalue_fields": ["n"]}, {"script_fields": {"a": {}}}, {"collapse": {"field": "n"}}],
)
def test_where_fields_are_the_clients_own_the_page_is_fetched_apart(option: dict[str, Any]) -> None:
    decided, sent, _ = planned({"_source": ["date"], **option})
    assert decided.second is not None
    assert decided.cut == ()
    assert sent["_source"] == ["title", "body.english", "body"]


def test_where_neither_can_be_the_search_is_left_alone() -> None:
    assert decide({"_source": ["date"], "fields": ["date"], "collapse": {"field": "n", "inner_hits": {}}}) == Skip(
        Reason.TEXT_UNAVAILABLE
    )
    assert decide({"stored_fields": "_none_"}) == Skip(Reason.TEXT_UNAVAILABLE)
    assert decide({"stored_fields": ["_none_"]}) == Skip(Reason.TEXT_UNAVAILABLE)


@pytest.mark.parametrize(
    ("paths", "sent_paths", "cut"),
    [
        ("hits", "hits", ()),
        ("took,hits.hits.*", "took,hits.hits.*", ()),
        ("-aggregations,-_shards", "-aggregations,-_shards", ()),
        ("hits.hits._source", "hits.hits._source,hits.hits._score", ("_score",)),
        ("hits.hits._source,hits.hits._score", "hits.hits._source,hits.hits._score", ()),
        ("took,hits.hits._id", "took,hits.hits._id,hits.hits._source,hits.hits._score", ("_source", "_score")),
        (PART, PART + FIELDS_AND_SCORE, ("fields", "_score")),
        ("hits.hits._id,-hits", None, ()),
        ("hits.total", None, ()),
        ("hits.hits._so*", None, ()),
        ("**.title", None, ()),
        ("-hits.hits._source.title", None, ()),
        ("hits.hits.fields.title,hits.hits._source.date", None, ()),
        (r"hits.hits._source\.a", None, ()),
    ],
)  # fmt: skip
def test_filter_path_lets_through_what_is_needed_and_no_more(
    paths: str, sent_paths: str | None, cut: tuple[str, ...]
) -> None:
    decided = decide({}, filter_path=paths)
    if sent_paths is None:
        assert decided == Skip(Reason.FILTER_PATH)
        return
    assert isinstance(decided, Plan)
    assert dict(decided.request.params)["filter_path"] == sent_paths
    assert decided.cut == cut
    assert decided.filtered == bool(cut or "_source" in paths)
