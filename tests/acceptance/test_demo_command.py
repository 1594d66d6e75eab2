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


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("how do I parse a date from a string", "datetime.datetime.strptime"),
        ("compare two pieces of text and show what differs", "difflib.Differ"),
        ("make a web server that serves files from a folder", "http.server.SimpleHTTPRequestHandler"),
        ("make a temporary folder that is removed afterwards", "tempfile.TemporaryDirectory"),
        ("pick a random item from a list", "random.Random.choice"),
    ],
)
def test_the_answer_rises_to_the_top(toured: tuple[str, dict[str, Any], str], query: str, answer: str) -> None:
    (told,) = [told for told in toured[1]["queries"] if told["query"] == query]
    before = told["before"].index(answer) if answer in told["before"] else len(told["before"])
    assert told["after"].index(answer) < before
    assert answer in told["after"][:2]


def test_both_orders_are_printed(toured: tuple[str, dict[str, Any], str]) -> None:
    printed = toured[2]
    assert "BM25" in printed
    assert "reranked" in printed
    assert "50/50 cached" in printed
