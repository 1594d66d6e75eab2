"""The proxy against the engine asked directly, side by side: passing through, and reranking from a warm cache.

An index of 5,000 documents of 200 words. The two sides take turns, several rounds, so that a busy machine slows both;
ratios are medians over the rounds.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from connector.embedded.engine import EngineName, start_engine
from connector.embedded.valkey import start_valkey
from tests.bench import load
from tests.bench.load import Load
from tests.bench.report import Report, Row
from tests.fixtures import proxies
from tests.fixtures.scripted import ScriptedWorker

ENGINES: tuple[EngineName, ...] = ("elasticsearch", "opensearch")
DOCUMENTS, WORDS, QUERIES = 5_000, 200, 40
CLIENTS, ROUNDS, SECONDS = 20, 5, 3.0
INDEX = "bench"
PATH = f"/{INDEX}/_search"


def run(report: Report) -> dict[str, Any]:
    """Adds the rows, and the sections `pass_through`, `pass_through_100`, `warm_search` and `memory`."""
    report.say(f"load: {load.tool()}, {CLIENTS} clients and 1 client, {ROUNDS} rounds of {SECONDS:.0f} s a side")
    sections: dict[str, dict[str, Any]] = {
        name: {} for name in ("pass_through", "pass_through_100", "warm_search", "memory")
    }
    for name in ENGINES:
        with start_engine(name, in_memory=True) as engine:
            fill(engine.url)
            with _passing(engine.url) as proxy:
                before = resident_mb(proxy.process.pid)
                for size, section in ((10, "pass_through"), (100, "pass_through_100")):
                    sections[section][name] = _pass_through(report, name, engine.url, proxy.url, size)
                sections["memory"][name] = {
                    "resident_before_mb": before,
                    "resident_after_mb": resident_mb(proxy.process.pid),
                }
            sections["warm_search"][name] = _warm_search(report, name, engine.url)
    report.sections.update(sections)
    return sections


@contextlib.contextmanager
def _passing(engine_url: str) -> Iterator[proxies.RunningProxy]:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "rerank-bridge.toml"
        config.write_text('[[index]]\npattern = "*"\nmode = "off"\n')
        with proxies.serve(engine_url, arguments=("--config", str(config))) as proxy:
            yield proxy


def _pass_through(report: Report, name: str, direct: str, proxied: str, size: int) -> dict[str, float]:
    bodies = _bodies(size)
    many = _rounds(direct, proxied, bodies, clients=CLIENTS)
    one = _rounds(direct, proxied, bodies, clients=1)
    ratio = statistics.median(ours.per_second / theirs.per_second for theirs, ours in many)
    added = statistics.median(ours.p50_ms - theirs.p50_ms for theirs, ours in one)
    report.add(
        Row(
            name=f"{name}: throughput, {size} hits",
            ours=statistics.median(ours.per_second for _, ours in many),
            unit="1/s",
            others={"direct": statistics.median(theirs.per_second for theirs, _ in many)},
            ratio=ratio,
            note=f"{CLIENTS} clients",
        )
    )
    report.add(
        Row(
            name=f"{name}: p50, {size} hits",
            ours=statistics.median(ours.p50_ms for _, ours in one),
            unit="ms",
            others={"direct": statistics.median(theirs.p50_ms for theirs, _ in one)},
            note=f"{added:+.2f} ms at 1 client",
        )
    )
    return {"throughput_ratio": round(ratio, 3), "p50_added_ms": round(added, 3)}


def _warm_search(report: Report, name: str, engine_url: str) -> dict[str, float]:
    """Window 100, size 10, every score stored, against the engine's own answer of 100 hits."""
    with (
        tempfile.TemporaryDirectory() as folder,
        start_valkey(in_memory=True) as valkey,
        ScriptedWorker(valkey.url, "default"),
    ):
        config = Path(folder) / "rerank-bridge.toml"
        config.write_text('[[index]]\npattern = "*"\nwindow = 100\ndeadline = 10\n')
        with proxies.serve(
            engine_url, arguments=("--config", str(config)), environment={"RERANK_BRIDGE_BROKER_URL": valkey.url}
        ) as proxy:
            for _ in range(2):
                statuses = {_ask(proxy.url, body) for body in _bodies(10)}
            if statuses != {"applied"}:
                raise RuntimeError(f"the searches to be measured are not reranked: {statuses}")
            pairs = _rounds(engine_url, proxy.url, _bodies(100), ours=_bodies(10), clients=1)
    p50 = statistics.median(ours.p50_ms - theirs.p50_ms for theirs, ours in pairs)
    p99 = statistics.median(ours.p99_ms - theirs.p99_ms for theirs, ours in pairs)
    report.add(
        Row(
            name=f"{name}: warm reranked search",
            ours=statistics.median(ours.p50_ms for _, ours in pairs),
            unit="ms",
            others={"direct, 100 hits": statistics.median(theirs.p50_ms for theirs, _ in pairs)},
            note=f"p50 {p50:+.2f} ms, p99 {p99:+.2f} ms; window 100, size 10, 1 client",
        )
    )
    return {"p50_added_ms": round(p50, 3), "p99_added_ms": round(p99, 3)}


def _rounds(
    direct: str, proxied: str, bodies: list[bytes], *, clients: int, ours: list[bytes] | None = None
) -> list[tuple[Load, Load]]:
    """(direct, proxied) of each round, after one that warms both."""
    pairs = []
    for number in range(ROUNDS + 1):
        sides = [(direct, bodies), (proxied, ours or bodies)]
        # Who comes first takes turns too: what one side leaves behind, the other finds.
        order = sides if number % 2 else sides[::-1]
        found = {url: load.measure(url, PATH, one, clients=clients, seconds=SECONDS) for url, one in order}
        failed = sum(one.failed for one in found.values())
        if failed:
            raise RuntimeError(f"{failed} requests failed")
        pairs.append((found[direct], found[proxied]))
    return pairs[1:]


def _bodies(size: int) -> list[bytes]:
    draw = random.Random(3)
    return [
        json.dumps(
            {"query": {"match": {"body": " ".join(draw.sample(_vocabulary()[20:900], 3))}}, "size": size}
        ).encode()
        for _ in range(QUERIES)
    ]


def _vocabulary() -> list[str]:
    return [f"word{i:04d}" for i in range(4_000)]


def fill(url: str) -> None:
    """Indexes the documents: words drawn as in a language, few of them often and most of them seldom."""
    draw = random.Random(7)
    words, weights = _vocabulary(), [1 / (rank + 1) ** 0.8 for rank in range(4_000)]
    settings = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}}
    properties = {"title": {"type": "text"}, "body": {"type": "text"}}
    call(url, "PUT", f"/{INDEX}", json.dumps({**settings, "mappings": {"properties": properties}}).encode())
    lines = []
    for i in range(DOCUMENTS):
        text = draw.choices(words, weights, k=WORDS)
        lines.append(json.dumps({"index": {"_id": str(i)}}))
        lines.append(json.dumps({"title": " ".join(text[:6]), "body": " ".join(text)}))
    call(url, "POST", f"/{INDEX}/_bulk?refresh=true", ("\n".join(lines) + "\n").encode(), "application/x-ndjson")
    call(url, "POST", f"/{INDEX}/_forcemerge?max_num_segments=1", None)


def call(url: str, method: str, path: str, body: bytes | None, kind: str = "application/json") -> str | None:
    """One request that has to succeed; what the proxy tells of it."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
    connection.request(method, path, body, {"content-type": kind} if body else {})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    if response.status >= 300:
        raise RuntimeError(f"{method} {path}: {response.status} {answer[:300]!r}")
    return response.getheader("x-rerank-status")


def _ask(url: str, body: bytes) -> str | None:
    return call(url, "POST", PATH, body)


def resident_mb(pid: int) -> float:
    """Megabytes of memory that the process holds."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024, 1)
