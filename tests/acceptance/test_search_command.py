"""`rerank-bridge search` and `score` against a running engine, Valkey and worker."""

from __future__ import annotations

import json
import uuid

import pytest

from connector.embedded.engine import RunningEngine
from connector.embedded.valkey import RunningValkey
from connector.embedded.worker import RunningWorker
from tests.fixtures import console

QUERY = "how do I parse a date from a string"
ROWS = [
    {
        "_id": "exact",
        "title": "string",
        "text": "A string is a string of a string. Date of a string, how I do a string.",
    },
    {
        "_id": "answer",
        "title": "strptime",
        "text": "Turn text that holds a date into a date object: parse it by its format.",
    },
    {
        "_id": "other",
        "title": "bread",
        "text": "How to bake bread with flour, water, salt and a good deal of patience.",
    },
]


@pytest.fixture(scope="module")
def environment(elasticsearch: RunningEngine, valkey: RunningValkey, worker: RunningWorker) -> dict[str, str]:
    return {"ENGINE_URL": elasticsearch.url, "BROKER_URL": valkey.url}


@pytest.fixture(scope="module")
def index(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("search") / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    name = f"search-{uuid.uuid4().hex[:8]}"
    done = console.run("index", str(file), "--index", name, **environment)
    assert done.returncode == 0, done.stderr
    return name


def test_a_search_shows_new_and_old_ranks_and_what_took_how_long(environment: dict[str, str], index: str) -> None:
    shown = console.run("search", QUERY, "--index", index, **environment)
    assert shown.returncode == 0, shown.stderr
    assert "applied" in shown.stdout
    assert "strptime" in shown.stdout
    assert "scoring" in shown.stdout


def test_json_says_the_same_for_programs_and_the_second_time_is_from_the_cache(
    environment: dict[str, str], index: str
) -> None:
    asked = ("search", "parse a date in text", "--index", index, "--json")
    first, second = (json.loads(console.run(*asked, **environment).stdout) for _ in range(2))
    assert (first["status"], first["tasks"], first["cache_hits"]) == ("applied", 1, 0)
    assert (second["tasks"], second["cache_hits"]) == (0, second["candidates"])
    assert [hit["id"] for hit in second["hits"]] == [hit["id"] for hit in first["hits"]]
    assert {hit["old_rank"] for hit in first["hits"]} == set(range(1, len(first["hits"]) + 1))


def test_without_a_worker_the_engines_order_comes_with_the_reason(environment: dict[str, str], index: str) -> None:
    shown = console.run("search", QUERY, "--index", index, "--model", "nobody", "--json", **environment)
    searched = json.loads(shown.stdout)
    assert (shown.returncode, searched["status"]) == (0, "unavailable")
    assert "nobody" in searched["reason"]
    assert [hit["old_rank"] for hit in searched["hits"]] == [hit["rank"] for hit in searched["hits"]]


def test_strict_makes_that_an_error_with_exit_code_4(environment: dict[str, str], index: str) -> None:
    shown = console.run("search", QUERY, "--index", index, "--model", "nobody", "--strict", **environment)
    assert shown.returncode == 4
    assert len(shown.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("", "--index", "any"), 2, "the query is empty"),
        ((QUERY, "--index", "nowhere"), 3, "no such index"),
        ((QUERY, "--index", "any", "--engine-url", "http://127.0.0.1:1"), 3, "no answer from"),
    ],
)
def test_bad_input_is_one_line(environment: dict[str, str], arguments: tuple[str, ...], code: int, says: str) -> None:
    failed = console.run("search", *arguments, **environment)
    assert (failed.returncode, len(failed.stderr.strip().splitlines())) == (code, 1)
    assert says in failed.stderr


def test_bytes_that_are_no_text_are_searched_for_as_spaces(environment: dict[str, str], index: str) -> None:
    shown = console.run("search", "parse \udcff date", "--index", index, "--json", **environment)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["status"] == "applied"
    scored = console.run("score", "parse \udcff date", "a date \udcff", **environment)
    assert scored.returncode == 0, scored.stderr


def test_a_search_without_hits_says_so_in_one_line(environment: dict[str, str], index: str) -> None:
    shown = console.run("search", "zyzzyva", "--index", index, **environment)
    assert (shown.returncode, shown.stdout.strip().splitlines()[-1]) == (0, "no hits")
    assert "cross-encoder" not in shown.stdout


def test_an_index_without_vectors_says_how_to_get_them(environment: dict[str, str], index: str) -> None:
    failed = console.run("search", QUERY, "--index", index, "--mode", "hybrid", **environment)
    assert failed.returncode in (2, 4)
    assert "--embed" in failed.stderr or "--kind embed" in failed.stderr


def test_score_puts_the_better_document_first(environment: dict[str, str]) -> None:
    documents = [row["text"] for row in ROWS]
    shown = console.run("score", QUERY, *documents, "--json", **environment)
    assert [score["index"] for score in json.loads(shown.stdout)["scores"]][-1] == 2


def test_score_without_documents_says_what_is_needed(environment: dict[str, str]) -> None:
    failed = console.run("score", QUERY, **environment)
    assert failed.returncode == 2
    assert "at least one document" in failed.stderr
