"""`rerank-bridge evaluate` as a site's CI runs it: a process of its own, its files, its exit code."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from connector.embedded.engine import RunningEngine
from connector.embedded.valkey import RunningValkey
from connector.embedded.worker import RunningWorker
from connector.evaluate import runs
from tests.fixtures import console

DOCUMENTS = {
    "bread": "Mix flour, water, salt and yeast, let the dough rise and bake it for an hour.",
    "tyre": "Lift the wheel, loosen the nuts, take the flat tyre off and put the spare one on.",
    "roses": "Cut roses back in early spring, just above a bud that looks outward.",
    "knot": "A bowline makes a loop that does not slip: up through the hole, round the tree and back.",
}
QUERIES = {"q1": "how do I bake bread", "q2": "change a flat tyre", "q3": "when to cut roses"}
GRADES = {"q1": "bread", "q2": "tyre", "q3": "roses"}
METRICS = {"ndcg@10", "mrr@10", "map", "p@5", "recall@100"}


def collection(folder: Path, *, corpus: str | None = None) -> Path:
    rows = [{"_id": name, "title": name, "text": f"{text} {uuid.uuid4().hex}"} for name, text in DOCUMENTS.items()]
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) if corpus is None else corpus)
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": name, "text": text}) + "\n" for name, text in QUERIES.items())
    )
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"{query}\t{document}\t1\n" for query, document in GRADES.items())
    )
    return folder


@pytest.fixture
def environment(elasticsearch: RunningEngine, valkey: RunningValkey, worker: RunningWorker) -> dict[str, str]:
    return {"BROKER_URL": valkey.url}


def test_from_nothing_it_starts_an_engine_and_a_worker_and_the_second_time_finds_everything_stored(
    open_folder: Path, tmp_path: Path
) -> None:
    data, figures = collection(tmp_path / "garden"), tmp_path / "figures.json"
    command = ("evaluate", "--data", str(data), "--window", "100", "--home", str(open_folder), "--json", str(figures))
    done = console.run(*command)
    assert done.returncode == 0, done.stderr
    first = json.loads(figures.read_text())
    assert (first["data"], first["queries"], set(first["runs"])) == (
        "garden",
        3,
        {"first_stage", "reranked", "default"},
    )
    assert all(set(run) == METRICS for run in first["runs"].values())
    assert first["runs"]["first_stage"]["recall@100"] == 1.0
    assert first["latency_ms"]["p99"] >= first["latency_ms"]["p50"] > 0
    assert first["model"]["name"]
    assert {"p", "low", "high", "wins", "losses"} <= set(first["significance"]["default"]["ndcg@10"])
    done = console.run(*command)
    assert done.returncode == 0, done.stderr
    again = json.loads(figures.read_text())
    assert again["scores"] == {"total": first["scores"]["total"], "cached": first["scores"]["total"]}
    assert (again["runs"], again["latency_ms"]) == (first["runs"], first["latency_ms"])
    assert "Indexing" not in done.stderr


def test_report_run_file_and_gate_come_of_one_evaluation(
    environment: dict[str, str], elasticsearch: RunningEngine, tmp_path: Path
) -> None:
    data, page, run = collection(tmp_path / "garden"), tmp_path / "report.html", tmp_path / "out.trec"
    done = console.run(
        *("evaluate", "--data", str(data), "--engine-url", elasticsearch.url, "--report", str(page)),
        *("--run-out", str(run), "--require", "recall@100>=baseline", "--require", "ndcg@10>=1.01"),
        **environment,
    )
    assert done.returncode == 1, done.stderr
    assert "passed recall@100>=baseline" in done.stdout
    assert "FAILED ndcg@10>=1.01" in done.stdout
    html = page.read_text()
    assert html.count("<svg") == 4
    assert "Worst losses" in html
    assert "http" not in html.replace("http://www.w3.org", "").replace("https://www.w3.org", ""), "nothing is fetched"
    assert set(runs.read(run)) == set(QUERIES)
    judged = console.run("evaluate", "--data", str(data), "--run-in", str(run), "--no-rerank")
    assert judged.returncode == 0, judged.stderr
    assert "first stage out.trec" in judged.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (("--require", "ndcg@10=>1"), 2, "--require"),
        (("--depths", "10,many"), 2, "--depths 10,many"),
        (("--json", "missing/figures.json"), 2, "there is no folder"),
        (("--index", "docs"), 2, "either a folder with --data, or a live index"),
        (("--split", "dev"), 2, "dev.tsv: No such file"),
        (("--no-rerank", "--report", "page.html"), 2, "--no-rerank leaves nothing to compare"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line_before_anything_is_started(
    tmp_path: Path, arguments: tuple[str, ...], code: int, problem: str
) -> None:
    done = console.run("evaluate", "--data", str(collection(tmp_path / "garden")), *arguments)
    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert problem in " ".join(done.stderr.split())
    assert "Starting" not in done.stderr


def test_a_bad_line_of_the_data_ends_it_with_file_and_line_and_writes_nothing(tmp_path: Path) -> None:
    data = collection(tmp_path / "garden", corpus='{"_id": "bread", "text": "x"}\n{"_id": "bread", "text": "y"}\n')
    figures = tmp_path / "figures.json"
    figures.write_text("kept")
    done = console.run("evaluate", "--data", str(data), "--json", str(figures))
    assert done.returncode == 2
    assert "corpus.jsonl, line 2: the id 'bread' is in line 1 already" in " ".join(done.stderr.split())
    assert figures.read_text() == "kept"
