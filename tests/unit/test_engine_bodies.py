"""What differs between versions, without a server: kNN bodies, templates, reasons."""

from __future__ import annotations

import json
from typing import Any

import pytest

import mappings
from connector import templates
from connector.engines import reasons
from connector.engines.address import Address
from connector.engines.elasticsearch import Elasticsearch
from connector.engines.opensearch import OpenSearch

ADDRESS = Address.parse("http://127.0.0.1:9200")


async def test_opensearch_searches_vectors_with_a_knn_query() -> None:
    engine = OpenSearch(ADDRESS, (1, 3))
    body = engine.knn_body("v", [0.5, 1], k=20, size=10, source=["title"])
    await engine.close()
    assert body == {"size": 10, "_source": ["title"], "query": {"knn": {"v": {"vector": [0.5, 1], "k": 20}}}}


@pytest.mark.parametrize(("k", "candidates"), [(10, 100), (80, 160), (10_000, 10_000)])
async def test_elasticsearch_looks_at_more_candidates_than_it_returns(k: int, candidates: int) -> None:
    engine = Elasticsearch(ADDRESS, (8, 4, 0))
    body = engine.knn_body("v", [0.5], k=k, size=5)
    await engine.close()
    assert body["knn"] == {"field": "v", "query_vector": [0.5], "k": k, "num_candidates": candidates}
    assert "query" not in body


async def test_elasticsearch_7_finds_the_nearest_by_an_exact_script() -> None:
    engine = Elasticsearch(ADDRESS, (7, 17, 28))
    body = engine.knn_body("v", [0.5], k=3, size=5)
    await engine.close()
    assert body["size"] == 3
    assert body["query"]["script_score"]["script"]["params"] == {"vector": [0.5], "field": "v"}
    assert body["query"]["script_score"]["query"] == {"exists": {"field": "v"}}


def vector(engine: str, version: tuple[int, ...], dimensions: int = 384) -> dict[str, Any]:
    template = mappings.load(engine, version, dimensions=dimensions, patterns=["x-*"])
    assert template["index_patterns"] == ["x-*"]
    field: dict[str, Any] = template["template"]["mappings"]["properties"][mappings.VECTOR_FIELD]
    return field


def test_templates_leave_out_what_an_old_version_does_not_know() -> None:
    assert vector("elasticsearch", (7, 17, 0), 3) == {"type": "dense_vector", "dims": 3}
    assert vector("elasticsearch", (8, 0))["similarity"] == "cosine"
    assert vector("opensearch", (2, 1))["method"]["engine"] == "nmslib"
    assert vector("opensearch", (2, 2))["method"]["engine"] == "lucene"
    assert vector("opensearch", (3, 5), 768)["dimension"] == 768


def test_templates_of_both_engines_have_the_same_fields() -> None:
    properties = [
        mappings.load(engine, (9,))["template"]["mappings"]["properties"] for engine in ("elasticsearch", "opensearch")
    ]
    assert properties[0].keys() == properties[1].keys()
    del properties[0]["vector"], properties[1]["vector"]
    assert properties[0] == properties[1]


def test_settings_differ_only_where_their_values_do() -> None:
    ours = {"priority": 1, "template": {"settings": {"index": {"knn": True, "n": 3}}}}
    there = {"priority": 1, "composed_of": [], "template": {"settings": {"index": {"knn": "true", "n": "3"}}}}
    assert templates.differences(there, ours) == []
    there["template"]["settings"]["index"]["knn"] = "false"  # type: ignore[index]
    (found,) = templates.differences(there, ours)
    assert (found.path, found.engine, found.ours) == ("template.settings.index.knn", "false", "true")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"error": {"type": "t", "reason": "r", "root_cause": [{"type": "rt", "reason": "rr"}]}}, "rt: rr"),
        ({"error": {"type": "t", "reason": "failed", "caused_by": {"type": "c", "reason": "why"}}}, "t: failed (why)"),
        ({"error": {"type": "t", "reason": "bad: why", "caused_by": {"type": "c", "reason": "why"}}}, "t: bad: why"),
        ({"error": "no handler found for uri [/x]"}, "no handler found for uri [/x]"),
        ({"error": {"type": "t", "reason": "two\nlines"}}, "t: two lines"),
        ({"message": "denied"}, '{"message": "denied"}'),
        ([], "[]"),
    ],
)
def test_reasons_are_one_line_and_say_the_cause(body: object, reason: str) -> None:
    assert reasons.of(json.dumps(body).encode()) == reason


def test_reasons_are_read_from_what_is_no_json_too() -> None:
    assert reasons.of(b"Unauthorized\n") == "Unauthorized"
    assert reasons.of(b"") == ""
    assert len(reasons.of(b"x" * 10_000)) == 300
