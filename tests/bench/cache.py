"""The score cache: bytes a score in Redis, and microseconds a look-up of 100, in Redis and in the process."""

from __future__ import annotations

import asyncio
import random
import statistics
import time

from connector.contract import env, keys, scores
from connector.embedded.valkey import start_valkey
from connector.scoring.local import LocalScores
from tests.bench.report import Report, Row

_QUERIES = 2000
_DOCUMENTS = 100
_LOOKUPS = 1000


def run(report: Report) -> None:
    """Adds the three rows."""
    hasher = keys.Hasher(b"a key for the benchmark")
    rng = random.Random(20)
    queries = [keys.scores_key("ab" * 32, "truncate", hasher.query(f"query {n}")) for n in range(_QUERIES)]
    fields = [[hasher.document(f"document {n} of {q}") for n in range(_DOCUMENTS)] for q in range(_QUERIES)]
    with start_valkey(in_memory=True) as server:
        redis = env.sync_redis(server.url)
        # The first hash pays for what every later one shares.
        scores.write_once(redis, "warm", fields[0], [0.5] * _DOCUMENTS)
        before = redis.info("memory")["used_memory"]
        for key, names in zip(queries, fields, strict=True):
            scores.write_once(redis, key, names, [rng.gauss(0, 3) for _ in names])
        used = redis.info("memory")["used_memory"] - before
        remote = asyncio.run(_remote(server.url, queries, fields))
    note = f"{_QUERIES} queries × {_DOCUMENTS} documents, with TTL"
    report.add(Row(name="cache_bytes_per_score", ours=round(used / _QUERIES / _DOCUMENTS, 2), unit="bytes", note=note))
    report.add(Row(name="cache_lookup_redis", ours=round(remote * 1e6, 1), unit="µs", note="p50 of HMGET, 100 fields"))
    local = _local(queries, fields)
    report.add(Row(name="cache_lookup_process", ours=round(local * 1e6, 1), unit="µs", note="p50, 100 fields"))


async def _remote(url: str, queries: list[str], fields: list[list[bytes]]) -> float:
    taken = []
    async with env.async_redis(url) as redis:
        for n in range(_LOOKUPS):
            started = time.perf_counter()
            found = await scores.read(redis, queries[n], fields[n])
            taken.append(time.perf_counter() - started)
            assert None not in found
    return statistics.median(taken)


def _local(queries: list[str], fields: list[list[bytes]]) -> float:
    kept = LocalScores(_QUERIES * _DOCUMENTS)
    for key, names in zip(queries, fields, strict=True):
        kept.put(key, dict.fromkeys(names, 0.5))
    taken = []
    for n in range(_LOOKUPS):
        started = time.perf_counter()
        kept.get(queries[n], fields[n])
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)
