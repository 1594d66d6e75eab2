"""A worker's service on a real Valkey, with a model whose scores the test knows: what is stored and what is replied."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from connector.contract import env, names, passages, scores, wire
from connector.contract.errors import ModelFailed
from connector.embedded.valkey import RunningValkey
from tests.fixtures.asking import Asker, request
from workers.metrics import Metrics
from workers.service import ScoreService

DEAD = "redis://127.0.0.1:1/0"


@dataclass
class KnownModel:
    """Scores a document by its length; runs when the gate is open."""

    fingerprint: str = field(default_factory=lambda: secrets.token_hex(16))
    gate: threading.Event = field(default_factory=threading.Event)
    ran: list[str] = field(default_factory=list)
    entered: threading.Event = field(default_factory=threading.Event)
    value: Callable[[str], float | Exception] = lambda text: float(len(text))
    name: str = "known"
    kind: str = "score"
    backend: str = "known"
    device: str = "cpu"
    precision: str = "fp32"
    max_length: int = 256
    dimensions: int = 0
    batch_tokens: int = 1000
    observe_padding: Callable[[int], None] = lambda tokens: None

    def __post_init__(self) -> None:
        self.gate.set()

    def encode(self, query: str, documents: Sequence[str], policy: passages.Passages) -> list[list[str]]:
        return [[text] for text in documents]

    def score_groups(self, groups: Sequence[tuple[Sequence[str], passages.Passages]]) -> list[float | Exception]:
        texts = [rows[0] for rows, _ in groups]
        self.ran += texts
        self.entered.set()
        assert self.gate.wait(10)
        return [self.value(text) for text in texts]

    def memory(self) -> int:
        return 0


@contextmanager
def serving(model: KnownModel, state: str, cache: str) -> Iterator[ScoreService]:
    clients = env.sync_redis(state), env.sync_redis(cache)
    service = ScoreService(model, alias="known", state=clients[0], cache=clients[1], metrics=Metrics())  # type: ignore[arg-type]
    service.start()
    try:
        yield service
    finally:
        model.gate.set()
        service.stop()
        for client in clients:
            client.close()


@pytest.fixture
def model() -> KnownModel:
    return KnownModel()


@pytest.fixture
def service(valkey: RunningValkey, model: KnownModel) -> Iterator[ScoreService]:
    with serving(model, valkey.url, valkey.url) as running:
        yield running


def stored(asker: Asker, asked: wire.ScoreRequest) -> list[float | None]:
    return scores.reread(asker.redis, asked.cache_key, [bytes.fromhex(f) for f in asked.fields])


def test_scores_are_replied_in_order_and_stored(service: ScoreService, model: KnownModel, asker: Asker) -> None:
    asked = request(model.fingerprint, "q", ["aaa", "a", "aa"], reply_to=asker.id)
    service.score(asked.encode(), names.INTERACTIVE)
    reply = asker.receive()
    assert (reply.id, reply.values, reply.error) == (asked.id, (3.0, 1.0, 2.0), None)
    assert stored(asker, asked) == [3.0, 1.0, 2.0]


def test_the_value_stored_first_is_the_one_replied_ever_after(
    service: ScoreService, model: KnownModel, asker: Asker
) -> None:
    asked = request(model.fingerprint, "q", ["aaa", "a"], reply_to=asker.id)
    scores.write_once(asker.redis, asked.cache_key, [bytes.fromhex(asked.fields[0])], [0.125])
    service.score(asked.encode(), names.INTERACTIVE)
    assert asker.receive().values == (0.125, 1.0)
    assert stored(asker, asked) == [0.125, 1.0]


def test_what_another_worker_stored_while_a_request_waited_is_not_scored_again(
    service: ScoreService, model: KnownModel, asker: Asker
) -> None:
    asked = request(model.fingerprint, "q", ["waits", "too"], reply_to=asker.id)
    model.gate.clear()
    threads = [
        threading.Thread(target=service.score, args=(message.encode(), names.INTERACTIVE))
        for message in (request(model.fingerprint, "first", ["running"]), asked)
    ]
    threads[0].start()
    assert model.entered.wait(10)
    threads[1].start()
    while not service.batcher.load().waiting:
        threads[1].join(0.001)
    scores.write_once(asker.redis, asked.cache_key, [bytes.fromhex(f) for f in asked.fields], [0.5, 0.25])
    threads[1].join(0.05)
    model.gate.set()
    assert asker.receive().values == (0.5, 0.25)
    assert model.ran == ["running"]
    for thread in threads:
        thread.join(10)


def test_a_request_whose_deadline_passes_frees_its_thread_and_still_fills_the_cache(
    service: ScoreService, model: KnownModel, asker: Asker
) -> None:
    model.gate.clear()
    asked = request(model.fingerprint, "q", ["late"], reply_to=asker.id, budget=0.01)
    service.score(asked.encode(), names.INTERACTIVE)
    assert stored(asker, asked) == [None]
    model.gate.set()
    assert asker.receive().values == (4.0,)
    assert stored(asker, asked) == [4.0]


def test_without_a_connector_that_waits_the_scores_go_to_the_cache_only(
    service: ScoreService, model: KnownModel, asker: Asker
) -> None:
    asked = request(model.fingerprint, "q", ["aa"])
    service.score(asked.encode(), names.BATCH)
    assert stored(asker, asked) == [2.0]
    assert asker.redis.exists(names.reply_key("")) == 0


def test_the_reply_list_of_a_connector_that_is_gone_expires(
    service: ScoreService, model: KnownModel, asker: Asker
) -> None:
    service.score(request(model.fingerprint, "q", ["aa"], reply_to=asker.id).encode(), names.INTERACTIVE)
    assert 0 < asker.redis.ttl(names.reply_key(asker.id)) <= 60


def test_another_model_s_request_is_refused(service: ScoreService, asker: Asker) -> None:
    service.score(request("f" * 32, "q", ["aa"], reply_to=asker.id).encode(), names.INTERACTIVE)
    reply = asker.receive()
    assert reply.values is None
    assert reply.error is not None
    assert reply.error[0] == "NoWorker"


def test_a_score_that_is_no_number_is_an_error_and_nothing_of_the_request_is_stored(
    service: ScoreService, model: KnownModel, asker: Asker
) -> None:
    model.value = lambda text: ModelFailed("nan for a pair") if text == "bad" else 1.0
    asked = request(model.fingerprint, "q", ["good", "bad"], reply_to=asker.id)
    service.score(asked.encode(), names.INTERACTIVE)
    assert asker.receive().error == ("ModelFailed", "nan for a pair")
    assert stored(asker, asked) == [None, None]


def test_a_model_that_breaks_is_reported_as_model_failed(
    service: ScoreService, model: KnownModel, asker: Asker, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(text: str) -> float:
        raise RuntimeError("device-side assert")

    model.value = broken
    service.score(request(model.fingerprint, "q", ["a"], reply_to=asker.id).encode(), names.INTERACTIVE)
    reply = asker.receive()
    assert reply.error is not None
    assert reply.error[0] == "ModelFailed"
    assert "device-side assert" in reply.error[1]


@pytest.mark.parametrize("change", [{"v": 99}, {"documents": ["only one"], "fields": ""}])
def test_a_message_of_another_version_or_shape_is_answered_as_far_as_it_can_be(
    service: ScoreService, model: KnownModel, asker: Asker, change: dict[str, Any]
) -> None:
    message = {**request(model.fingerprint, "q", ["a", "b"], reply_to=asker.id).encode(), **change}
    service.score(message, names.INTERACTIVE)
    reply = asker.receive()
    assert reply.error is not None
    assert reply.error[0] == "WireError"


def test_an_unknown_passage_policy_is_answered_with_its_error(
    service: ScoreService, model: KnownModel, asker: Asker
) -> None:
    asked = replace(request(model.fingerprint, "q", ["a"], reply_to=asker.id), passages="max-passage")
    service.score(asked.encode(), names.INTERACTIVE)
    reply = asker.receive()
    assert reply.error is not None
    assert reply.error[0] == "ConfigurationError"


def test_without_the_cache_the_scores_are_replied_all_the_same(valkey: RunningValkey, asker: Asker) -> None:
    model = KnownModel()
    with serving(model, valkey.url, DEAD) as service:
        service.score(request(model.fingerprint, "q", ["aa"], reply_to=asker.id).encode(), names.INTERACTIVE)
        assert asker.receive().values == (2.0,)


def test_without_the_state_redis_the_scores_are_stored_all_the_same(valkey: RunningValkey, asker: Asker) -> None:
    model = KnownModel()
    with serving(model, DEAD, valkey.url) as service:
        asked = request(model.fingerprint, "q", ["aa"], reply_to=asker.id)
        service.score(asked.encode(), names.INTERACTIVE)
        assert stored(asker, asked) == [2.0]


def test_the_heartbeat_says_what_runs_and_how_fast(service: ScoreService, model: KnownModel, asker: Asker) -> None:
    service.score(request(model.fingerprint, "q", ["aa"], reply_to=asker.id).encode(), names.INTERACTIVE)
    beat = service.heartbeat()
    assert (beat.alias, beat.fingerprint, beat.model) == ("known", model.fingerprint, "known")
    assert beat.ms_per_1000_tokens > 0
    assert beat.waiting == beat.waiting_tokens == 0


def test_metrics_count_what_was_served(valkey: RunningValkey, asker: Asker) -> None:
    model = KnownModel()
    metrics = Metrics()
    client = env.sync_redis(valkey.url)
    service = ScoreService(model, alias="known", state=client, cache=client, metrics=metrics)  # type: ignore[arg-type]
    service.start()
    service.score(request(model.fingerprint, "q", ["aa", "b"]).encode(), names.INTERACTIVE)
    service.score(request("f" * 32, "q", ["aa"]).encode(), names.BATCH)
    read = metrics.registry.get_sample_value
    assert read("rerank_bridge_pairs_total", {"lane": "interactive"}) == 2
    assert read("rerank_bridge_requests_total", {"lane": "batch"}) == 1
    assert read("rerank_bridge_errors_total", {"kind": "NoWorker"}) == 1
    assert read("rerank_bridge_waiting_requests") == 0
    service.stop()
    client.close()
