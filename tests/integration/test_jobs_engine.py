"""Jobs that search first, look texts up in an index, or write back into one; on a real engine."""

import asyncio
import json
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from connector import engines, indexing
from connector.embedded.engine import RunningEngine
from connector.embedded.valkey import RunningValkey
from tests.fixtures.job_site import JobSite
from tests.fixtures.simulated_worker import score

TEXTS = [f"the {word} of a {thing}" for word in ("colour", "weight", "price") for thing in ("boat", "house", "stone")]


@pytest.fixture(scope="module")
def index(elasticsearch: RunningEngine) -> str:
    name = f"jobs-{uuid.uuid4().hex}"

    async def load() -> None:
        engine = await engines.connect(elasticsearch.url)
        try:
            await indexing.index(engine, [{"_id": f"d{n}", "text": text} for n, text in enumerate(TEXTS)], index=name)
        finally:
            await engine.close()

    asyncio.run(load())
    return name


@pytest.fixture(scope="module")
def site(
    valkey: RunningValkey, elasticsearch: RunningEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JobSite]:
    made = JobSite(valkey.url, tmp_path_factory.mktemp("jobs"), f"engine-{uuid.uuid4().hex}")
    made.environment["RERANK_BRIDGE_ENGINE_URL"] = elasticsearch.url
    with made.running():
        yield made


def fresh() -> str:
    return f"t-{uuid.uuid4().hex}"


def answers(site: JobSite, job: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in site.call("results", job).stdout.splitlines()]


def by_score(query: str, texts: list[str]) -> list[str]:
    return [f"d{TEXTS.index(text)}" for text in sorted(texts, key=lambda text: -score(query, text))]


def test_queries_are_searched_first_and_their_hits_reranked(site: JobSite, index: str) -> None:
    source = site.folder / "queries.jsonl"
    source.write_text('{"id": "q1", "query": "colour"}\n{"_id": "q2", "text": "stone"}\n')
    done = site.submit(source, job := fresh(), "--index", index, "--fusion", "none", "--wait")
    assert done.returncode == 0, done.stderr + done.stdout
    first, second = answers(site, job)
    assert [r["id"] for r in first["results"]] == by_score("colour", [t for t in TEXTS if "colour" in t])
    assert [r["id"] for r in second["results"]] == by_score("stone", [t for t in TEXTS if "stone" in t])
    assert all(r["first_score"] > 0 for r in first["results"])


def test_searches_of_an_msearch_body_are_reranked_by_their_own_question_and_the_others_told(
    site: JobSite, index: str
) -> None:
    source = site.folder / "searches.ndjson"
    source.write_text(
        '{}\n{"query": {"match": {"text": "boat"}}, "size": 2}\n'
        f'{{"index": "{index}"}}\n{{"query": {{"match_all": {{}}}}}}\n'
        '{"index": "no-such-index-here"}\n{"query": {"match": {"text": "x"}}}\n'
    )
    arguments = ("--form", "msearch", "--index", index, "--fusion", "none", "--skip-bad", "--wait")
    done = site.submit(source, job := fresh(), *arguments)
    assert done.returncode == 0, done.stdout
    [answer] = answers(site, job)
    assert answer["query"] == "boat"
    assert [r["id"] for r in answer["results"]] == by_score("boat", [t for t in TEXTS if "boat" in t])
    assert [bad["line"] for bad in site.json("status", job)["bad_lines"]] == [3, 5]


def test_a_run_reads_its_texts_from_an_index(site: JobSite, index: str) -> None:
    queries, run = site.folder / "q.jsonl", site.folder / "texts.run"
    queries.write_text('{"_id": "7", "text": "which one"}\n')
    run.write_text("".join(f"7 Q0 d{n} {n + 1} {9 - n} t\n" for n in range(9)))
    job = fresh()
    arguments = ("--index", index, "--queries", str(queries), "--fusion", "none", "--output-form", "jsonl", "--wait")
    assert site.submit(run, job, *arguments).returncode == 0
    [answer] = answers(site, job)
    assert [r["id"] for r in answer["results"]] == by_score("which one", TEXTS)


def test_answers_are_written_back_by_key_and_other_members_stay(
    site: JobSite, index: str, elasticsearch: RunningEngine
) -> None:
    into = f"back-{uuid.uuid4().hex}"
    there = urllib.request.Request(f"{elasticsearch.url}/{into}/_doc/q1", method="PUT")
    there.add_header("Content-Type", "application/json")
    urllib.request.urlopen(there, b'{"editor": "keep me"}').close()
    source = site.folder / "back.jsonl"
    source.write_text('{"id": "q1", "query": "price"}\n{"id": "q2", "query": "house"}\n')
    for _ in range(2):
        job = fresh()
        assert site.submit(source, job, "--index", index, "--into", into, "--wait").returncode == 0
    with urllib.request.urlopen(f"{elasticsearch.url}/{into}/_doc/q1") as response:
        document = json.load(response)["_source"]
    assert (document["editor"], document["query"], document["job"]) == ("keep me", "price", job)
    assert len(document["results"]) == 3
    urllib.request.urlopen(f"{elasticsearch.url}/{into}/_refresh", b"").close()
    with urllib.request.urlopen(f"{elasticsearch.url}/{into}/_count") as response:
        assert json.load(response)["count"] == 2


def test_an_index_that_is_not_there_ends_the_job_with_its_name(site: JobSite) -> None:
    source = site.folder / "nowhere.jsonl"
    source.write_text('{"query": "x"}\n')
    job = fresh()
    assert site.submit(source, job, "--index", "no-such-index-here", "--wait").returncode == 1
    known = site.json("status", job)
    assert known["state"] == "failed"
    assert "no-such-index-here" in known["error"]
