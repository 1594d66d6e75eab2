"""The quick example of docs/jobs.md, run as it stands there: a BM25 run, reranked by a job, and evaluated."""

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import redis

from connector.embedded import pydocs
from connector.embedded.engine import RunningEngine
from connector.embedded.valkey import RunningValkey
from connector.embedded.worker import RunningWorker
from tests.fixtures.job_site import JobSite

ROOT = Path(__file__).parents[2]
DOCUMENTS, QUERIES = 1400, 12


def collection(folder: Path) -> Path:
    """As many documents as Cranfield has; what is asked are words from the middle of some of them."""
    (folder / "qrels").mkdir(parents=True)
    documents = list(itertools.islice(pydocs.documents(), DOCUMENTS))
    rows = [{"_id": d.name, "title": d.name, "text": d.text} for d in documents]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [d for d in documents if len(d.text.split()) > 30][:: DOCUMENTS // 40][:QUERIES]
    queries = [{"_id": f"q{n}", "text": " ".join(d.text.split()[4:12])} for n, d in enumerate(asked)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    qrels = "".join(f"q{n}\t{d.name}\t1\n" for n, d in enumerate(asked))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
    return folder


def by_query(run: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in run.read_text().splitlines():
        query, _, document, *_ = line.split()
        found.setdefault(query, []).append(document)
    return found


def test_the_quick_example_reranks_a_bm25_run_and_evaluates_it(
    elasticsearch: RunningEngine, valkey: RunningValkey, worker: RunningWorker, tmp_path: Path
) -> None:
    [example] = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs/jobs.md").read_text(), re.MULTILINE | re.DOTALL)
    site = JobSite(valkey.url, tmp_path, "default")
    environment = {
        **os.environ,
        **site.environment,
        "RERANK_BRIDGE_ENGINE_URL": elasticsearch.url,
        "DATA": str(collection(tmp_path / "data")),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    coordinator = site.coordinator()
    try:
        done = subprocess.run(
            ["bash", "-e", "-c", example], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500
        )
    finally:
        coordinator.terminate()
        assert coordinator.wait(30) == 0
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = by_query(tmp_path / "bm25.run"), by_query(tmp_path / "reranked.run")
    assert {query: set(documents) for query, documents in first.items()} == {
        query: set(documents) for query, documents in second.items()
    }
    assert first != second
    assert "ndcg@10" in done.stdout.lower()
    with redis.Redis.from_url(valkey.url) as client:
        assert client.zcard("rr:coordinators") == 0
