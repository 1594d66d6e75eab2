"""Reading and merging a response of 100 hits, 185 KB, beside a round trip through a JSON library."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable

from connector import fusion, hits, merge, query
from connector.query import Plan, SearchRequest
from connector.settings import Policy
from tests.bench.report import Report, Row

_HITS = 100
_RUNS = 400
_POLICY = Policy(window=_HITS, scores="engine")


def run(report: Report) -> None:
    """Adds the rows."""
    body = _response(random.Random(5))
    scores: list[float | None] = [random.Random(7).gauss(0, 3) for _ in range(_HITS)]
    trip = _p50(lambda: json.dumps(json.loads(body)).encode())
    note = f"p50, {_HITS} hits, {len(body) // 1000} KB; others: json.loads and dumps"
    for size in (10, _HITS):
        plan = _plan(size)
        ours = _p50(lambda plan=plan: _merged(body, plan, scores))  # type: ignore[misc]
        name = f"merge_page_of_{size}"
        report.add(Row.compare(name, "ms", ours, {"json round trip": trip}, higher_is_better=False, note=note))
    page = merge.read(body)
    texts = _p50(lambda: hits.texts(page.hits, _POLICY.text, ("title", "body")))
    report.add(Row(name="texts_of_hits", ours=texts, unit="ms", note=f"p50, {_HITS} hits, two fields"))


def _merged(body: bytes, plan: Plan, scores: list[float | None]) -> bytes:
    page = merge.read(body)
    ranking = fusion.rank([hit.score for hit in page.hits], scores, _POLICY.fusion)
    return merge.merge(page, plan, ranking, policy=_POLICY, took_ms=1)


def _plan(size: int) -> Plan:
    body = json.dumps({"query": {"match": {"body": "red shoes"}}, "size": size}).encode()
    plan = query.plan(SearchRequest(index="docs", body=body), _POLICY)
    assert isinstance(plan, Plan)
    return plan


def _response(rng: random.Random) -> bytes:
    words = ["".join(rng.choices("abcdefghij", k=6)) for _ in range(1000)]
    found = [
        {
            "_index": "docs",
            "_id": str(n),
            "_score": 20 - n / 10,
            "_source": {"title": " ".join(rng.choices(words, k=8)), "body": " ".join(rng.choices(words, k=240))},
        }
        for n in range(_HITS)
    ]
    response = {"took": 3, "timed_out": False, "hits": {"total": {"value": 1000}, "max_score": 20.0, "hits": found}}
    return json.dumps(response, separators=(",", ":")).encode()


def _p50(work: Callable[[], object]) -> float:
    """Milliseconds."""
    taken = []
    for _ in range(_RUNS):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return round(statistics.median(taken) * 1000, 3)
