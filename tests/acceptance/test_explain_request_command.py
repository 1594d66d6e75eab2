"""`rerank-bridge explain-request`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.fixtures import console

REQUEST = 'POST /docs/_search\n\n{"query":{"match":{"title":"red shoes"}},"_source":false}\n'


def test_a_request_in_a_file_is_explained_in_words(tmp_path: Path) -> None:
    path = tmp_path / "request.txt"
    path.write_text(REQUEST)
    done = console.run("explain-request", str(path))
    assert done.returncode == 0, done.stderr
    assert "is reranked" in done.stdout
    assert "red shoes" in done.stdout
    assert "_source: asked for on top" in done.stdout


def test_a_request_on_stdin_is_explained_as_json() -> None:
    done = console.run("explain-request", "-", "--json", stdin=REQUEST.replace("match", "term"))
    told = json.loads(done.stdout)
    assert (told["decision"], told["reason"]) == ("skipped", "no_query_text")


def test_a_file_that_is_not_there_is_one_clear_line() -> None:
    done = console.run("explain-request", "/nowhere/request.txt")
    assert done.returncode == 2
    assert "/nowhere/request.txt" in done.stderr
    assert "Traceback" not in done.stderr
