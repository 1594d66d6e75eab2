"""Clients of a worker for the benchmark: one after the other, many at once, and a job that keeps the worker full."""

from __future__ import annotations

import itertools
import os
import secrets
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from connector.contract import env, heartbeats, names
from tests.bench.pairs import Candidates
from tests.fixtures import asking

__all__ = ["Seen", "asker", "saturating", "steady", "storm", "worker"]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What clients saw."""

    p50_ms: float
    p99_ms: float
    pairs_per_second: float


@contextmanager
def asker(url: str) -> Iterator[asking.Asker]:
    """A client."""
    client = asking.Asker(url)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def worker(url: str, *options: str) -> Iterator[heartbeats.Heartbeat]:
    """A worker process of the bundled model on the CPU."""
    alias = f"bench-{secrets.token_hex(4)}"
    command = [str(Path(sys.executable).with_name("rerank-bridge")), "worker", "--backend", "onnx", "--alias", alias]
    variables = {**os.environ, "RERANK_BRIDGE_BROKER_URL": url}
    process = subprocess.Popen([*command, *options], env=variables, stderr=subprocess.DEVNULL)
    state = env.sync_redis(url)
    try:
        while (announced := state.get(names.alias_key(alias))) is None:
            if process.poll() is not None:
                raise RuntimeError("the worker did not start: run `rerank-bridge worker` to see why")
            time.sleep(0.05)
        yield heartbeats.Heartbeat.decode(announced)  # type: ignore[arg-type]
    finally:
        process.terminate()
        process.wait(120)
        state.close()


def steady(url: str, fingerprint: str, candidates: Sequence[Candidates], *, requests: int, size: int) -> Seen:
    """One client, one request after the other, nothing of it cached."""
    took = []
    with asker(url) as client:
        for one in itertools.islice(itertools.cycle(candidates), requests):
            began = time.perf_counter()
            client.score(fingerprint, one.query, one.documents[:size], salt=secrets.token_hex(4))
            took.append(time.perf_counter() - began)
    return _seen(took, size, sum(took))


def storm(
    url: str, fingerprint: str, candidates: Sequence[Candidates], *, clients: int, size: int, seconds: float
) -> Seen:
    """Many clients at once, each with its next request as soon as the last is answered."""
    took: list[float] = []
    end = time.perf_counter() + seconds

    def one_client(number: int) -> None:
        with asker(url) as client:
            for one in itertools.cycle(candidates[number:] + candidates[:number]):
                began = time.perf_counter()
                if began > end:
                    return
                client.score(fingerprint, one.query, one.documents[:size], salt=secrets.token_hex(4))
                took.append(time.perf_counter() - began)

    candidates = list(candidates)
    began = time.perf_counter()
    threads = [threading.Thread(target=one_client, args=(n % len(candidates),)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _seen(took, size, time.perf_counter() - began)


@contextmanager
def saturating(url: str, fingerprint: str, candidates: Sequence[Candidates]) -> Iterator[None]:
    """A batch job with four chunks of 200 pairs in flight, always."""
    stop = threading.Event()

    def job() -> None:
        texts = [text for one in candidates for text in one.documents]
        with asker(url) as client:
            waiting = 0
            for start in itertools.count(0, 200):
                chunk = [texts[(start + i) % len(texts)] for i in range(200)]
                asked = asking.request(
                    fingerprint, "batch", chunk, reply_to=client.id, salt=secrets.token_hex(4), budget=600
                )
                client.send(names.SCORE_TASK, asked.encode(), fingerprint=fingerprint, lane=names.BATCH)
                waiting += 1
                if waiting >= 4:
                    client.receive(120)
                    waiting -= 1
                if stop.is_set():
                    break
            for _ in range(waiting):
                client.receive(120)

    thread = threading.Thread(target=job)
    thread.start()
    time.sleep(1)  # until the job's first chunks are with the worker
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _seen(took: Sequence[float], size: int, seconds: float) -> Seen:
    ordered = sorted(took)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return Seen(p50_ms=statistics.median(took) * 1000, p99_ms=p99 * 1000, pairs_per_second=len(took) * size / seconds)
