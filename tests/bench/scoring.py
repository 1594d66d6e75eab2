"""Scoring: pairs a second on one CPU worker, latency through Celery, many clients at once, interactive beside batch.

Runs alternate between ours and the other on the same pairs, and ratios are medians of those paired runs, so that what
else the machine does falls on both alike.
"""

from __future__ import annotations

import os
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.bench import clients, pairs
from tests.bench.report import Report, Row

__all__ = ["run"]

WINDOW = 50
MAX_LENGTH = 256
ROUNDS = 10


def run(report: Report) -> None:
    """Adds the rows. RERANK_BRIDGE_BENCH_PAIRS (default 5000) makes it shorter."""
    count = int(os.environ.get("RERANK_BRIDGE_BENCH_PAIRS", "5000"))
    candidates = pairs.load(max(ROUNDS, count // WINDOW), WINDOW)
    total = sum(len(c.documents) for c in candidates)
    report.say(f"scoring: {len(candidates)} queries, {total} pairs, BM25 top {WINDOW}, {MAX_LENGTH} tokens at most")
    _cpu(report, candidates)
    _through_celery(report, candidates)
    _gpu(report)


def _cpu(report: Report, candidates: Sequence[pairs.Candidates]) -> None:
    from connector.contract import names
    from workers import models
    from workers.batcher import Batcher, Item
    from workers.settings import WorkerSettings

    model: Any = models.load(WorkerSettings(backend="onnx", max_length=MAX_LENGTH))
    batcher: Batcher[float] = Batcher(
        lambda items: model.score_groups([item.payload for item in items]),
        batch_tokens=model.batch_tokens,
        waiting_tokens=1 << 30,
        batch_works=len(candidates) + 1,
    )
    batcher.start()

    def ours(chunk: Sequence[pairs.Candidates]) -> list[list[float]]:
        from connector.contract import passages

        policy = passages.Passages()
        futures = []
        for number, one in enumerate(chunk):
            rows = model.encode(one.query, one.documents, policy)
            items = [
                Item(key=(number, i), tokens=sum(map(len, group)), payload=(group, policy))
                for i, group in enumerate(rows)
            ]
            futures.append(batcher.submit(items, lane=names.BATCH, deadline=time.monotonic() + 3600))
        return [future.result().values for future in futures]

    theirs = _others(model.tokenizer.max_length)
    chunks = [candidates[i::ROUNDS] for i in range(ROUNDS)]
    for runner in (ours, *theirs.values()):
        runner(chunks[0][:1])
    seconds: dict[str, list[float]] = {name: [] for name in ("ours", *theirs)}
    scores: dict[str, list[list[float]]] = {name: [] for name in ("ours", *theirs)}
    for chunk in chunks:
        for name, runner in (("ours", ours), *theirs.items()):
            began = time.perf_counter()
            scores[name] += runner(chunk)
            seconds[name].append(time.perf_counter() - began)
    batcher.stop()
    sizes = [sum(len(c.documents) for c in chunk) for chunk in chunks]
    rate = {name: statistics.median(n / s for n, s in zip(sizes, took, strict=True)) for name, took in seconds.items()}
    ratios = {name: _ratio(seconds[name], seconds["ours"]) for name in theirs}
    note = "  ".join(f"{name} {ratio:.2f}x" for name, ratio in ratios.items())
    report.add(
        Row(
            name="cpu_pairs",
            ours=rate.pop("ours"),
            unit="pairs/s",
            others=rate,
            ratio=min(ratios.values()) if ratios else None,
            note=f"median of {ROUNDS} paired runs: {note}",
        )
    )
    _quality(report, [c for chunk in chunks for c in chunk], scores)


def _quality(report: Report, candidates: Sequence[pairs.Candidates], scores: dict[str, list[list[float]]]) -> None:
    def mean(name: str) -> float | None:
        values = [pairs.ndcg(c, s) for c, s in zip(candidates, scores[name], strict=True)]
        known = [value for value in values if value is not None]
        return statistics.fmean(known) if known else None

    ours = mean("ours")
    if ours is None or "sentence_transformers" not in scores:
        report.add(Row.not_measured("cpu_ndcg10", "nDCG@10", "no judgments, or sentence-transformers is not installed"))
        return
    other = mean("sentence_transformers") or 0.0
    report.add(
        Row(
            name="cpu_ndcg10",
            ours=ours,
            unit="nDCG@10",
            others={"sentence_transformers": other},
            ratio=ours / other,
            note=f"difference {ours - other:+.4f} (at least -0.005)",
        )
    )


def _others(max_length: int) -> dict[str, Callable[[Sequence[pairs.Candidates]], list[list[float]]]]:
    """The same model in what a user would pick instead: each that is installed."""
    from workers.models.folder import BUNDLED

    found: dict[str, Callable[[Sequence[pairs.Candidates]], list[list[float]]]] = {}
    try:
        import sentence_transformers
    except ImportError:
        return found
    # The checkpoint is stored in half precision, which a CPU computes slowly: the reference gets its best, fp32.
    reference = sentence_transformers.CrossEncoder(
        str(BUNDLED), device="cpu", max_length=max_length, model_kwargs={"dtype": "float32"}
    )

    def predict(chunk: Sequence[pairs.Candidates]) -> list[list[float]]:
        flat = [(c.query, text) for c in chunk for text in c.documents]
        values = iter(reference.predict(flat, show_progress_bar=False).tolist())
        return [[next(values) for _ in c.documents] for c in chunk]

    found["sentence_transformers"] = predict
    return found


def _through_celery(report: Report, candidates: Sequence[pairs.Candidates]) -> None:
    from connector.embedded.valkey import start_valkey

    others = _others(MAX_LENGTH)
    with start_valkey(in_memory=True) as server:
        with clients.worker(server.url) as heartbeat:
            _one_client(report, candidates, server.url, heartbeat.fingerprint, others.get("sentence_transformers"))
            _beside_batch(report, candidates, server.url, heartbeat.fingerprint)
            _warm(report, candidates, server.url, heartbeat.fingerprint)
            together = clients.storm(server.url, heartbeat.fingerprint, candidates, clients=16, size=20, seconds=15)
        with clients.worker(server.url, "--slots", "1") as heartbeat:
            alone = clients.storm(server.url, heartbeat.fingerprint, candidates, clients=16, size=20, seconds=15)
    for name, unit, of, higher in (
        ("clients16_pairs", "pairs/s", lambda s: s.pairs_per_second, True),
        ("clients16_p99", "ms", lambda s: s.p99_ms, False),
    ):
        others_row = {"without_cross_request_batching": of(alone)}
        report.add(
            Row.compare(name, unit, of(together), others_row, higher_is_better=higher, note="20 pairs a request")
        )


def _one_client(
    report: Report, candidates: Sequence[pairs.Candidates], url: str, fingerprint: str, predict: Any
) -> None:
    chosen = [c for c in candidates if len(c.documents) == WINDOW][:20]
    ours, other, transport = [], [], []
    with clients.asker(url) as asker:
        for one in chosen:
            began = time.perf_counter()
            reply = asker.score(fingerprint, one.query, one.documents, salt=secrets.token_hex(4))
            took = time.perf_counter() - began
            ours.append(took * 1000)
            transport.append((took - reply.queue_s - reply.score_s) * 1000)
            if predict is not None:
                began = time.perf_counter()
                predict([one])
                other.append((time.perf_counter() - began) * 1000)
    others = {"sentence_transformers_in_process": statistics.median(other)} if other else {}
    ratio = _ratio(other, ours) if other else None
    note = f"one client, {WINDOW} pairs, cache off"
    report.add(Row(name="celery_p50", ours=statistics.median(ours), unit="ms", others=others, ratio=ratio, note=note))
    report.add(
        Row(
            name="celery_transport_p50",
            ours=statistics.median(transport),
            unit="ms",
            note="of it outside batcher and model: queue, tokenising, storing, reply",
        )
    )


def _beside_batch(report: Report, candidates: Sequence[pairs.Candidates], url: str, fingerprint: str) -> None:
    idle = clients.steady(url, fingerprint, candidates, requests=60, size=20)
    with clients.saturating(url, fingerprint, candidates):
        busy = clients.steady(url, fingerprint, candidates, requests=60, size=20)
    report.add(
        Row(
            name="interactive_p99_beside_batch",
            ours=busy.p99_ms,
            unit="ms",
            others={"idle_worker": idle.p99_ms},
            ratio=idle.p99_ms / busy.p99_ms,
            note=f"p50 {idle.p50_ms:.0f} → {busy.p50_ms:.0f} ms; allowed: twice the idle one and one batch",
        )
    )


def _warm(report: Report, candidates: Sequence[pairs.Candidates], url: str, fingerprint: str) -> None:
    from connector.contract import scores
    from tests.fixtures import asking

    texts = [text for c in candidates[:4] for text in c.documents][:100]
    cold, warm = [], []
    with clients.asker(url) as asker:
        for _ in range(5):
            salt = secrets.token_hex(4)
            began = time.perf_counter()
            asker.score(fingerprint, "a warm cache", texts, salt=salt)
            cold.append((time.perf_counter() - began) * 1000)
            asked = asking.request(fingerprint, "a warm cache", texts, salt=salt)
            fields = [bytes.fromhex(field) for field in asked.fields]
            began = time.perf_counter()
            scores.reread(asker.redis, asked.cache_key, fields)
            warm.append((time.perf_counter() - began) * 1000)
    report.add(
        Row(
            name="warm_cache_100",
            ours=statistics.median(warm),
            unit="ms",
            others={"cold": statistics.median(cold)},
            ratio=_ratio(cold, warm),
            note="100 pairs read from Redis, against scored",
        )
    )


def _gpu(report: Report) -> None:
    try:
        import torch

        missing = None if torch.cuda.is_available() else "this machine has no GPU"
    except ImportError:
        missing = "torch is not installed"
    if missing:
        report.add(Row.not_measured("gpu_pairs", "pairs/s", missing))
        return
    from tests.bench import gpu

    gpu.run(report)


def _ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    return statistics.median(t / o for t, o in zip(theirs, ours, strict=True))
