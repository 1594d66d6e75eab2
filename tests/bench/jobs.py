"""A job against the bare scorer on the same pairs, and eight workers against one where a pair takes time but no CPU."""

from __future__ import annotations

import contextlib
import itertools
import json
import statistics
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import redis

import workers.models
from connector.contract import passages
from connector.embedded import pydocs
from connector.embedded.valkey import start_valkey
from connector.embedded.worker import start_worker
from tests.bench.report import Report, Row
from tests.fixtures import simulated_worker
from tests.fixtures.job_site import JobSite
from workers.settings import WorkerSettings

#: 5,000 pairs.
QUERIES, EACH = 200, 25
ROUNDS = 3
#: Milliseconds of a simulated pair.
SERVICE_MS = 8.0
SIMULATED_QUERIES, SIMULATED_EACH = 400, 20


def run(report: Report) -> None:
    """Adds the rows `jobs_pairs`, `jobs_simulated` and `jobs_workers`."""
    with tempfile.TemporaryDirectory() as name, start_valkey(in_memory=True) as valkey:
        _against_bare(report, Path(name), valkey.url)
        _against_one(report, Path(name), valkey.url)


def _against_bare(report: Report, folder: Path, url: str) -> None:
    model: Any = workers.models.load(WorkerSettings())
    site = JobSite(url, folder, "default")
    bare, by_query, jobs = [], [], []
    with start_worker(site.environment), _coordinator(site):
        for number in range(ROUNDS):
            pairs = _pairs(number)
            bare.append(_bare(model, pairs))
            by_query.append(_by_query(model, pairs))
            source = folder / f"pairs-{number}.jsonl"
            rows = [{"query": query, "documents": documents} for query, documents in pairs]
            source.write_text("".join(json.dumps(row) + "\n" for row in rows))
            jobs.append(_job(site, source))
    ratio = statistics.median(job / max(both) for job, *both in zip(jobs, bare, by_query, strict=True))
    report.add(
        Row(
            name="jobs_pairs",
            unit="pairs/s",
            ours=statistics.median(jobs),
            others={"bare_by_query": statistics.median(by_query), "bare_all_sorted": statistics.median(bare)},
            ratio=ratio,
            note=f"{ROUNDS} × {QUERIES} queries of {EACH} documents; the job's time is from claim to output",
        )
    )


def _against_one(report: Report, folder: Path, url: str) -> None:
    speeds = {0: _simulated_alone()}
    for count in (1, 8):
        site = JobSite(url, folder, f"simulated-{uuid.uuid4().hex}")
        queries = SIMULATED_QUERIES * count // 4
        source = site.documents(queries, SIMULATED_EACH, name=f"simulated-{count}.jsonl")
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                stack.enter_context(simulated_worker.running(site.environment, site.alias, ms=SERVICE_MS))
            stack.enter_context(_coordinator(site))
            speeds[count] = _job(site, source, "--chunk-tokens", "1024")
    report.add(
        Row.compare(
            "jobs_simulated", "pairs/s", speeds[1], {"model_alone": speeds[0]}, note=f"{SERVICE_MS:g} ms a pair, no CPU"
        )
    )
    report.add(
        Row.compare(
            "jobs_workers", "pairs/s", speeds[8], {"one_worker": speeds[1]}, note=f"8 workers, {SERVICE_MS:g} ms a pair"
        )
    )


def _simulated_alone() -> float:
    model: Any = simulated_worker.HashModel("alone", SERVICE_MS / 1000, None)
    policy = passages.parse(passages.TRUNCATE)
    started = time.perf_counter()
    for query in range(SIMULATED_QUERIES // 4):
        groups = model.encode(f"query {query}", [f"document {n}" for n in range(SIMULATED_EACH)], policy)
        model.score_groups([(group, policy) for group in groups])
    return SIMULATED_QUERIES // 4 * SIMULATED_EACH / (time.perf_counter() - started)


def _pairs(number: int) -> list[tuple[str, list[str]]]:
    """Real texts of mixed length; every round has its own queries, so that nothing is stored."""
    texts = [document.text[:2000] for document in itertools.islice(pydocs.documents(), QUERIES * EACH)]
    groups = [texts[n * EACH : (n + 1) * EACH] for n in range(QUERIES)]
    return [(f"{group[0][:60]} {number}", group) for group in groups if group]


def _bare(model: Any, pairs: list[tuple[str, list[str]]]) -> float:
    """Pairs a second of the model alone, on the same pairs, longest first in batches of its own size."""
    policy = passages.parse(passages.TRUNCATE)
    started = time.perf_counter()
    groups = [(group, policy) for query, documents in pairs for group in model.encode(query, documents, policy)]
    groups.sort(key=lambda each: -sum(map(len, each[0])))
    batch: list[Any] = []
    tokens = 0
    for each in groups:
        batch.append(each)
        tokens += sum(map(len, each[0]))
        if tokens >= model.batch_tokens:
            model.score_groups(batch)
            batch, tokens = [], 0
    if batch:
        model.score_groups(batch)
    return len(groups) / (time.perf_counter() - started)


def _by_query(model: Any, pairs: list[tuple[str, list[str]]]) -> float:
    """The same, one query after another: what a job's requests are."""
    policy = passages.parse(passages.TRUNCATE)
    started = time.perf_counter()
    for query, documents in pairs:
        model.score_groups([(group, policy) for group in model.encode(query, documents, policy)])
    return sum(len(documents) for _, documents in pairs) / (time.perf_counter() - started)


def _job(site: JobSite, source: Path, *arguments: str) -> float:
    job = f"bench-{uuid.uuid4().hex}"
    done = site.submit(source, job, *arguments, "--wait")
    assert done.returncode == 0, done.stderr
    known = site.json("status", job)
    assert known["cached"] == 0
    return float(known["pairs"] / (known["finished"] - known["started"]))


@contextlib.contextmanager
def _coordinator(site: JobSite) -> Any:
    process: subprocess.Popen[bytes] = site.coordinator("--lease", "10")
    try:
        with redis.Redis.from_url(site.url) as client:
            while not client.zcard("rr:coordinators"):
                assert process.poll() is None
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()
