"""How late the engine's answer is while something behind the proxy is broken: the time beyond the deadline for scores.

For each fault some searches that nobody sent before; of each the client's time, less what the engine needs for the same
window asked directly, less the deadline. Below zero: the fault was known, and the deadline was not waited for.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from connector.embedded.engine import start_engine
from connector.embedded.valkey import RunningValkey, start_valkey
from tests.bench import proxy as site
from tests.bench.report import Report, Row
from tests.fixtures import proxies
from tests.fixtures.scripted import ScriptedWorker

DEADLINE = 0.3
WINDOW = 50
SEARCHES = 12


def run(report: Report) -> dict[str, Any]:
    """Adds a row for each fault, and the section `faults`."""
    found: dict[str, Any] = {}
    with start_engine("elasticsearch", in_memory=True) as engine:
        site.fill(engine.url)
        for name, broken in _FAULTS.items():
            with (
                tempfile.TemporaryDirectory() as folder,
                start_valkey(in_memory=True) as valkey,
                ScriptedWorker(valkey.url, "default") as worker,
            ):
                config = Path(folder) / "rerank-bridge.toml"
                config.write_text(f'[[index]]\npattern = "*"\ndeadline = {DEADLINE}\nwindow = {WINDOW}\n')
                environment = {"RERANK_BRIDGE_BROKER_URL": valkey.url}
                with (
                    proxies.serve(engine.url, arguments=("--config", str(config)), environment=environment) as proxy,
                    broken(valkey, worker),
                ):
                    found[name] = _measure(report, name, engine.url, proxy.url)
    report.sections["faults"] = found
    return {"faults": found}


def _measure(report: Report, name: str, engine_url: str, proxy_url: str) -> dict[str, Any]:
    beyond, told = [], []
    for _ in range(SEARCHES):
        query = {"match": {"body": f"word0100 word0200 {uuid.uuid4().hex}"}}
        own, _ = _timed(engine_url, {"query": query, "size": WINDOW})
        took, status = _timed(proxy_url, {"query": query, "size": 10})
        beyond.append((took - own - DEADLINE) * 1000)
        told.append(str(status))
    statuses = sorted(set(told))
    if "applied" in statuses:
        raise RuntimeError(f"{name}: the fault was none, a search was reranked")
    report.add(
        Row(
            name=f"fault: {name}",
            ours=max(beyond),
            unit="ms",
            note=f"at most beyond the deadline of {DEADLINE * 1000:.0f} ms; median {statistics.median(beyond):.0f}; "
            f"told {', '.join(statuses)}",
        )
    )
    return {
        "beyond_deadline_ms": {"median": round(statistics.median(beyond), 1), "max": round(max(beyond), 1)},
        "told": statuses,
    }


def _timed(url: str, body: dict[str, Any]) -> tuple[float, str | None]:
    started = time.perf_counter()
    status = site.call(url, "POST", site.PATH, json.dumps(body).encode())
    return time.perf_counter() - started, status


@contextlib.contextmanager
def _worker_hangs(valkey: RunningValkey, worker: ScriptedWorker) -> Iterator[None]:
    worker.open.clear()
    yield
    worker.open.set()


@contextlib.contextmanager
def _worker_dies(valkey: RunningValkey, worker: ScriptedWorker) -> Iterator[None]:
    worker.die()
    yield


@contextlib.contextmanager
def _redis_hangs(valkey: RunningValkey, worker: ScriptedWorker) -> Iterator[None]:
    os.kill(valkey.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(valkey.pid, signal.SIGCONT)


@contextlib.contextmanager
def _redis_dies(valkey: RunningValkey, worker: ScriptedWorker) -> Iterator[None]:
    worker.die()
    os.kill(valkey.pid, signal.SIGKILL)
    yield


_FAULTS: dict[str, Callable[[RunningValkey, ScriptedWorker], contextlib.AbstractContextManager[None]]] = {
    "worker hangs": _worker_hangs,
    "worker dies": _worker_dies,
    "Redis hangs": _redis_hangs,
    "Redis dies": _redis_dies,
}
