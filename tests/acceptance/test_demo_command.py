"""`rerank-bridge demo` as a new user runs it: everything up, real text, before and after, nothing left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures import console


@pytest.fixture(scope="module", params=["elasticsearch", "opensearch"])
def toured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any], str]:
    """Engine, what the demo wrote, and what it printed."""
    path: Path = tmp_path_factory.mktemp("demo") / "demo.json"
    ended = console.run("demo", "--once", "--engine", request.param, "--json", str(path))
    assert ended.returncode == 0, ended.stderr
    return request.param, json.loads(path.read_text()), ended.stdout


def test_the_tour_names_engine_worker_and_documents(toured: tuple[str, dict[str, Any], str]) -> None:
    engine, written, _ = toured
    assert written["engine"]["name"] == engine
    assert written["worker"]["backend"] == "onnx"
    assert written["documents"] > 3000


def test_cold_searches_are_reranked_and_repeated_ones_come_from_the_cache(
    toured: tuple[str, dict[str, Any], str],
) -> None:
    for query in toured[1]["queries"]:
        assert (query["cold"]["status"], query["cold"]["cache_hits"]) == ("applied", 0)
        assert (query["cached"]["status"], query["cached"]["cache_hits"]) == ("applied", 50)
        assert query["cached"]["score_ms"] == 0


def test_the_order_changes_and_the_answers_rise(toured: tuple[str, dict[str, Any], str]) -> None:
    queries = {query["query"]: query for query in toured[1]["queries"]}
    assert all(query["before"] != query["after"] for query in queries.values())
    random_item = queries["pick a random item from a list"]
    assert random_item["before"][0] != "random.Random.choice"
    assert "random.Random.choice" in random_item["after"][:2]


def test_both_orders_are_printed(toured: tuple[str, dict[str, Any], str]) -> None:
    printed = toured[2]
    assert "BM25" in printed
    assert "reranked" in printed
    assert "50/50 cached" in printed
