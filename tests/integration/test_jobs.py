"""Jobs through the command, with real processes and a real Valkey; the model is a hash, so every byte is known."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.embedded.valkey import RunningValkey
from tests.fixtures.job_site import JobSite, expected


@pytest.fixture(scope="module")
def site(valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobSite]:
    """One coordinator and one worker for the tests of this file."""
    made = JobSite(valkey.url, tmp_path_factory.mktemp("jobs"), f"jobs-{uuid.uuid4().hex}")
    with made.running():
        yield made


def fresh() -> str:
    return f"t-{uuid.uuid4().hex}"


def test_a_job_gives_every_query_its_documents_in_the_models_order_and_in_input_order(site: JobSite) -> None:
    source, out = site.documents(30, 7), site.folder / "plain.jsonl"
    done = site.submit(source, job := fresh(), "-o", str(out), "--chunk-tokens", "512", "--wait")
    assert (done.returncode, out.read_bytes()) == (0, expected(30, 7)), done.stderr
    known = site.json("status", job)
    assert (known["state"], known["queries"], known["pairs"], known["chunks_done"]) == (
        "done",
        30,
        210,
        known["chunks"],
    )
    assert known["chunks"] > 1


def test_running_it_twice_gives_the_same_bytes_and_scores_nothing_again(site: JobSite) -> None:
    source = site.documents(12, 5, name="twice.jsonl")
    for job in (fresh(), second := fresh()):
        assert site.submit(source, job, "--wait").returncode == 0
    assert site.call("results", second).stdout.encode() == expected(12, 5)
    assert site.json("status", second)["cached"] == 60


def test_a_submit_with_the_same_id_of_a_finished_job_does_nothing(site: JobSite) -> None:
    source = site.documents(3, 3, name="same.jsonl")
    site.submit(source, job := fresh(), "--wait")
    assert site.json("submit", str(source), "--id", job, "--model", site.alias)["outcome"] == "done"


def test_a_submit_with_the_same_id_and_changed_input_is_refused(site: JobSite) -> None:
    source = site.documents(3, 3, name="changed.jsonl")
    site.submit(source, job := fresh(), "--wait")
    site.documents(4, 3, name="changed.jsonl")
    again = site.submit(source, job)
    assert again.returncode == 2
    assert "changed.jsonl has changed since job" in again.stderr


def test_a_bad_line_ends_the_job_with_file_and_line_and_what_was_done_is_kept(site: JobSite) -> None:
    source, out = site.documents(40, 5, name="bad.jsonl"), site.folder / "bad-out.jsonl"
    lines = source.read_text().splitlines()
    lines[29] = '{"query": "cut short", "documents": ['
    source.write_text("\n".join(lines) + "\n")
    arguments = ("-o", str(out), "--chunk-tokens", "512", "--wait")
    failed = site.submit(source, job := fresh(), *arguments)
    known = site.json("status", job)
    assert (failed.returncode, known["state"]) == (1, "failed")
    assert "bad.jsonl, line 30: no JSON" in known["error"]
    assert known["queries"] > 0
    assert not out.exists()

    mended = site.submit(source, job, *arguments, "--skip-bad")
    known = site.json("status", job)
    assert (mended.returncode, known["state"], known["queries"], known["bad"]) == (0, "done", 39, 1)
    assert [bad["line"] for bad in known["bad_lines"]] == [30]
    ids = [json.loads(line)["id"] for line in out.read_text().splitlines()]
    assert ids == [f"q{q}" for q in range(40) if q != 29]


def test_a_chunk_that_the_model_fails_on_is_set_aside_and_the_rest_finishes(site: JobSite) -> None:
    source = site.documents(30, 4, name="poison.jsonl")
    source.write_text(source.read_text().replace("document 1 for 20", "poison"))
    ended = site.submit(source, job := fresh(), "--chunk-tokens", "256", "--attempts", "2", "--wait")
    known = site.json("status", job)
    assert (ended.returncode, known["state"], known["chunks_failed"]) == (4, "incomplete", 1)
    [failure] = known["failures"]
    assert failure["first_line"] <= 21 <= failure["last_line"]
    assert "poison" in failure["error"]
    assert known["queries"] == 30 - (failure["last_line"] - failure["first_line"] + 1)

    assert site.json("retry-failed", job)["chunks"] == 1
    assert site.json("status", job, "--wait")["state"] == "incomplete"


def test_warming_the_cache_writes_nothing_and_the_next_job_finds_every_score(site: JobSite) -> None:
    source = site.documents(6, 6, name="warm.jsonl")
    assert site.submit(source, warm := fresh(), "--output-form", "cache", "--wait").returncode == 0
    assert "writes no file" in site.call("results", warm).stderr
    source = site.documents(6, 6, name="warm2.jsonl")
    site.submit(source, job := fresh(), "--wait")
    assert site.json("status", job)["cached"] == 36


def test_a_run_is_reranked_with_the_texts_of_its_corpus_and_unknown_ids_are_told(site: JobSite) -> None:
    corpus = site.folder / "beir"
    corpus.mkdir()
    (corpus / "queries.jsonl").write_text('{"_id": "1", "text": "what is it"}\n{"_id": "2", "text": "why"}\n')
    rows = [{"_id": f"d{n}", "title": "About", "text": f"number {n}"} for n in range(9)]
    (corpus / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = site.folder / "first.run"
    run.write_text("".join(f"{q} Q0 d{n} {n + 1} {9 - n} bm25\n" for q in (1, 2) for n in range(9)))
    out = site.folder / "second.run"
    assert (
        site.submit(run, fresh(), "--corpus", str(corpus), "-o", str(out), "--fusion", "none", "--wait").returncode == 0
    )
    from tests.fixtures.simulated_worker import score

    lines = [line.split() for line in out.read_text().splitlines()]
    order = sorted(range(9), key=lambda n: (-score("why", f"About number {n}"), n))
    assert [line[2] for line in lines if line[0] == "2"] == [f"d{n}" for n in order]
    assert [int(line[3]) for line in lines] == [*range(1, 10), *range(1, 10)]

    with run.open("a") as file:
        file.write("2 Q0 nowhere 10 0 bm25\n")
    site.submit(run, job := fresh(), "--corpus", str(corpus), "--wait")
    assert "first.run, line 19: document 'nowhere' is unknown" in site.json("status", job)["error"]


def test_an_output_that_exists_or_cannot_be_written_is_refused_before_the_work(site: JobSite) -> None:
    source = site.documents(1, 2, name="refused.jsonl")
    (there := site.folder / "there.jsonl").write_text("mine")
    refused = site.submit(source, fresh(), "-o", str(there))
    assert (refused.returncode, there.read_text()) == (2, "mine")
    assert "exists" in refused.stderr
    refused = site.submit(source, fresh(), "-o", str(site.folder / "no" / "such" / "folder.jsonl"))
    assert refused.returncode == 2
    assert "cannot be written" in refused.stderr


def test_credentials_in_an_address_are_refused(site: JobSite) -> None:
    refused = site.call("submit", "https://me:secret@example.org/x.jsonl", "--form", "documents")
    assert refused.returncode == 2
    assert "leave credentials out" in refused.stderr
    assert "secret@" not in refused.stderr


def test_a_purged_job_is_forgotten_and_its_output_stays(site: JobSite) -> None:
    source, out = site.documents(2, 2, name="purged.jsonl"), site.folder / "purged-out.jsonl"
    site.submit(source, job := fresh(), "-o", str(out), "--wait")
    assert site.json("purge", job)["purged"] == [job]
    assert "there is no job" in site.call("status", job).stderr
    assert out.exists()
    assert not list(Path(site.environment["RERANK_BRIDGE_JOBS_DIR"]).glob(f"{job}-*"))
