"""What breaks behind the proxy costs the reranking, never the answer: each fault lasts while the answer is read."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import re
import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from connector.contract import env, names
from connector.contract.heartbeats import Heartbeat
from connector.contract.wire import Reply, ScoreRequest
from connector.embedded.engine import RunningEngine
from connector.embedded.valkey import RunningValkey, start_valkey
from connector.embedded.worker import RunningWorker, start_worker
from tests.fixtures import nodes, proxies
from tests.fixtures.proxies import RunningProxy
from tests.fixtures.scripted import ScriptedWorker

WORDS = ("bridge", "river", "stone", "arch", "steel", "cable", "road", "rail")


@dataclass(frozen=True)
class Answer:
    """What a client reads."""

    status: int
    told: str | None
    reason: str | None
    body: bytes

    @property
    def ids(self) -> list[str]:
        """The hits, in order."""
        return [hit["_id"] for hit in json.loads(self.body)["hits"]["hits"]]

    @property
    def stable(self) -> bytes:
        """The body without `took`."""
        return re.sub(rb'"took":\d+', b"", self.body)


def ask(url: str, path: str, body: bytes | None, *, method: str = "POST") -> Answer:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    connection.request(method, path, body, {"content-type": "application/json"} if body else {})
    response = connection.getresponse()
    answer = Answer(
        response.status, response.getheader("x-rerank-status"), response.getheader("x-rerank-reason"), response.read()
    )
    connection.close()
    return answer


@dataclass(frozen=True)
class Site:
    """An engine with an index, and a proxy with workers behind it."""

    engine: str
    proxy: RunningProxy
    valkey: RunningValkey
    worker: RunningWorker | None = None

    def search(self, index: str, words: str | None = None, **more: Any) -> tuple[bytes, str]:
        """A search that nobody sent before, so that nothing of it is stored, and its path."""
        text = words or f"{' '.join(WORDS[:3])} {uuid.uuid4().hex}"
        return json.dumps({"query": {"match": {"body": text}}, "size": 5, **more}).encode(), f"/{index}/_search"

    def is_the_engines(self, answer: Answer, body: bytes, path: str) -> bool:
        """Whether the answer is what the engine says itself."""
        return (answer.status, answer.stable) == (200, ask(self.engine, path, body).stable)


def _fill(url: str, index: str, count: int, words: int) -> None:
    settings = {"number_of_shards": 1, "number_of_replicas": 0}
    assert ask(url, f"/{index}", json.dumps({"settings": settings}).encode(), method="PUT").status == 200
    lines = []
    for i in range(count):
        text = " ".join(WORDS[(i * 7 + k * (i % 5 + 1)) % len(WORDS)] for k in range(words)) + f" d{i}"
        lines.append(f'{{"index":{{"_id":"{i}"}}}}\n{json.dumps({"body": text})}\n')
    assert ask(url, f"/{index}/_bulk?refresh=true", "".join(lines).encode()).status == 200


_CONFIG = """
[[index]]
pattern = "patient-*"
deadline = 60

[[index]]
pattern = "long-*"
deadline = 60
window = 400
text.max_chars = 2000

[[index]]
pattern = "*"
deadline = 0.5
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faults") / "rerank-bridge.toml"
    path.write_text(_CONFIG)
    return path


@pytest.fixture(scope="module")
def site(elasticsearch: RunningEngine, config: Path) -> Iterator[Site]:
    """With a Valkey and a worker of its own: both are stopped and killed here."""
    with start_valkey(in_memory=True) as valkey:
        environment = {"RERANK_BRIDGE_BROKER_URL": valkey.url}
        with (
            start_worker(environment, backend="onnx") as worker,
            proxies.serve(elasticsearch.url, arguments=("--config", str(config)), environment=environment) as proxy,
        ):
            for name, count, words in (("quick-site", 30, 12), ("patient-site", 30, 12), ("long-site", 400, 250)):
                _fill(elasticsearch.url, name, count, words)
            yield Site(elasticsearch.url, proxy, valkey, worker)
            for name in ("quick-site", "patient-site", "long-site"):
                ask(elasticsearch.url, f"/{name}", None, method="DELETE")


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process hangs within it."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_redis_that_hangs_costs_the_deadline_only(site: Site) -> None:
    body, path = site.search("quick-site")
    with stopped(site.valkey.pid):
        answer = ask(site.proxy.url, path, body)
        assert site.is_the_engines(answer, body, path)
        assert answer.told in ("timeout", "unavailable")


def test_a_worker_that_hangs_costs_the_deadline_and_then_is_not_asked_any_more(site: Site) -> None:
    assert site.worker
    with stopped(site.worker.pid):
        told = set()
        for _ in range(40):
            body, path = site.search("quick-site")
            answer = ask(site.proxy.url, path, body)
            assert site.is_the_engines(answer, body, path)
            told.add(answer.told)
            if told == {"timeout", "unavailable"}:
                break
        assert told == {"timeout", "unavailable"}
    # It lives again: after a pause it is tried, and answers.
    while True:
        body, path = site.search("patient-site")
        answer = ask(site.proxy.url, path, body)
        if answer.told == "applied":
            break
        assert site.is_the_engines(answer, body, path)


def test_a_worker_killed_in_the_middle_of_its_work_leaves_the_engines_order(site: Site) -> None:
    assert site.worker
    body, path = site.search("long-site")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(ask, site.proxy.url, path, body)
        _until_busy(site.valkey.url, site.worker.pid)
        os.kill(site.worker.pid, signal.SIGKILL)
        answer = waiting.result(timeout=50)
    assert answer.told == "unavailable"
    assert site.is_the_engines(answer, body, path)
    body, path = site.search("patient-site")
    answer = ask(site.proxy.url, path, body)
    assert answer.told == "unavailable"
    assert site.is_the_engines(answer, body, path)


def _until_busy(url: str, pid: int) -> None:
    """Waits until the worker says that it scores."""
    state = env.sync_redis(url)
    while True:
        for worker in state.smembers(names.WORKERS_KEY):
            beat = state.get(names.heartbeat_key(worker.decode()))
            if beat and (known := Heartbeat.decode(beat)).pid == pid and known.in_flight:
                state.close()
                return


@pytest.fixture(scope="module")
def scripted_site(elasticsearch: RunningEngine, config: Path) -> Iterator[tuple[Site, ScriptedWorker]]:
    """The same with a worker that answers what a test wants."""
    with (
        start_valkey(in_memory=True) as valkey,
        ScriptedWorker(valkey.url, "default") as worker,
        proxies.serve(
            elasticsearch.url,
            arguments=("--config", str(config)),
            environment={"RERANK_BRIDGE_BROKER_URL": valkey.url},
        ) as proxy,
    ):
        _fill(elasticsearch.url, "patient-two", 30, 12)
        yield Site(elasticsearch.url, proxy, valkey), worker
        ask(elasticsearch.url, "/patient-two", None, method="DELETE")


def test_values_that_are_no_numbers_are_refused(scripted_site: tuple[Site, ScriptedWorker]) -> None:
    site, worker = scripted_site

    def nan(request: ScoreRequest) -> Reply:
        return Reply(id=request.id, values=tuple(math.nan for _ in request.documents))

    worker.answer = nan
    body, path = site.search("patient-two")
    answer = ask(site.proxy.url, path, body)
    worker.answer = None
    assert answer.told == "error"
    assert site.is_the_engines(answer, body, path)
    assert ask(site.proxy.url, path, body).told == "applied"


def test_a_model_that_fails_is_told_without_its_words(scripted_site: tuple[Site, ScriptedWorker]) -> None:
    site, worker = scripted_site
    worker.answer = lambda request: Reply(id=request.id, error=("ModelFailed", "CUDA out of memory on host-7"))
    body, path = site.search("patient-two")
    answer = ask(site.proxy.url, path, body)
    worker.answer = None
    assert answer.told == "error"
    assert "host-7" not in (answer.reason or "")
    assert site.is_the_engines(answer, body, path)


def test_a_document_of_ten_megabytes_is_reranked_with_the_others(scripted_site: tuple[Site, ScriptedWorker]) -> None:
    site, _ = scripted_site
    document = json.dumps({"body": "bridge huge " + "x " * 5_000_000}).encode()
    assert ask(site.engine, "/patient-two/_doc/huge?refresh=true", document, method="PUT").status == 201
    body, path = site.search("patient-two", "bridge huge", _source=False)
    answer = ask(site.proxy.url, path, body)
    ask(site.engine, "/patient-two/_doc/huge?refresh=true", None, method="DELETE")
    assert (answer.status, answer.told) == (200, "applied")
    assert answer.ids[0] == "huge"


def test_a_client_that_leaves_does_not_cancel_what_another_waits_for(
    scripted_site: tuple[Site, ScriptedWorker],
) -> None:
    site, worker = scripted_site
    body, path = site.search("patient-two")
    worker.open.clear()
    worker.holding.clear()
    sent_before = len(worker.requests)
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(site.proxy.address, timeout=30) as leaving:
        leaving.sendall(head.encode() + body)
        assert worker.holding.wait(30)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(ask, site.proxy.url, path, body)
        while json.loads(ask(site.proxy.url, "/_rerank/stats", None, method="GET").body)["under_way"] < 2:
            pass
        worker.open.set()
        answer = waiting.result(timeout=50)
    assert answer.told == "applied"
    assert len(worker.requests) - sent_before == 1


def test_a_redis_that_is_gone_leaves_the_engines_order_and_the_proxy_ready(
    scripted_site: tuple[Site, ScriptedWorker],
) -> None:
    site, worker = scripted_site
    worker.die()
    os.kill(site.valkey.pid, signal.SIGKILL)
    for _ in range(2):
        body, path = site.search("patient-two")
        answer = ask(site.proxy.url, path, body)
        assert answer.told == "unavailable"
        assert site.is_the_engines(answer, body, path)
        multi = b'{"index":"patient-two"}\n' + body + b"\n"
        both = ask(site.proxy.url, "/_msearch", multi)
        assert (both.status, both.told) == (200, "unavailable")
    while True:
        ready = ask(site.proxy.url, "/_rerank/health/ready", None, method="GET")
        assert ready.status == 200
        if not json.loads(ready.body)["redis"]:
            return


# The engine's own faults: a node that says what a test wants, behind a proxy without workers.


@pytest.fixture(scope="module")
def faulty() -> Iterator[tuple[nodes.ScriptedNode, RunningProxy]]:
    with nodes.scripted(nodes.answer("{}")) as node, proxies.serve(node.url) as proxy:
        yield node, proxy


def _searches(node: nodes.ScriptedNode) -> list[bytes]:
    return [request for request in node.requests if b"/_search" in request.partition(b"\r\n")[0]]


_BODY = b'{"query":{"match":{"body":"two words"}},"size":2}'
_HITS = '{"took":1,"timed_out":false,"hits":{"total":{"value":0,"relation":"eq"},"max_score":null,"hits":[]}}'


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_an_engine_that_is_busy_is_handed_on_and_not_asked_twice(
    faulty: tuple[nodes.ScriptedNode, RunningProxy], status: str
) -> None:
    node, proxy = faulty
    node.script = nodes.answer('{"error":{"type":"busy"},"status":0}', status=status, headers="retry-after: 3\r\n")
    node.requests.clear()
    answer = ask(proxy.url, f"/busy{status[:3]}/_search", _BODY)
    assert (answer.status, answer.body) == (int(status[:3]), b'{"error":{"type":"busy"},"status":0}')
    assert answer.told == "skipped"
    assert len(_searches(node)) == 1


def _refusing(status: str, body: str) -> nodes.Script:
    """Takes the client's own request only."""

    def script(connection: socket.socket, request: bytes) -> None:
        rewritten = b'"from":0' in request
        nodes.answer(body if rewritten else _HITS, status=status if rewritten else "200 OK")(connection, request)

    return script


@pytest.mark.parametrize("status", ["400 Bad Request", "413 Payload Too Large"])
def test_an_engine_that_refuses_the_rewritten_request_gets_the_clients_own_and_that_is_remembered(
    faulty: tuple[nodes.ScriptedNode, RunningProxy], status: str
) -> None:
    node, proxy = faulty
    node.script = _refusing(status, '{"error":{},"status":400}')
    node.requests.clear()
    path = f"/refusing{status[:3]}/_search"
    for asked in (2, 3):
        answer = ask(proxy.url, path, _BODY.replace(b"two", b"asked%d" % asked))
        assert (answer.status, answer.body.decode(), answer.told) == (200, _HITS, "skipped")
        assert len(_searches(node)) == asked
    assert _searches(node)[-1].endswith(_BODY.replace(b"two", b"asked3"))


def test_an_error_of_the_clients_own_making_is_the_engines_and_is_not_remembered(
    faulty: tuple[nodes.ScriptedNode, RunningProxy],
) -> None:
    node, proxy = faulty
    node.script = nodes.answer('{"error":{"type":"parsing_exception"},"status":400}', status="400 Bad Request")
    assert ask(proxy.url, "/mistaken/_search", _BODY).status == 400
    assert json.loads(ask(proxy.url, "/_rerank/stats", None, method="GET").body)["nodes"][0]["up"]
    node.script = nodes.answer(_HITS)
    node.requests.clear()
    ask(proxy.url, "/mistaken/_search", _BODY)
    assert b'"from":0' in _searches(node)[0]


def test_json_that_cannot_be_read_is_the_engines_to_answer_for(
    faulty: tuple[nodes.ScriptedNode, RunningProxy],
) -> None:
    node, proxy = faulty
    node.script = nodes.answer('{"took":1,"hits":{"hits":[{"_id":')
    node.requests.clear()
    answer = ask(proxy.url, "/broken/_search", _BODY)
    assert (answer.status, answer.body, answer.told) == (200, b'{"took":1,"hits":{"hits":[{"_id":', "skipped")
    assert len(_searches(node)) == 2


def test_a_slow_engine_is_waited_for_as_long_as_its_client_waits(
    faulty: tuple[nodes.ScriptedNode, RunningProxy],
) -> None:
    node, proxy = faulty
    waited = threading.Event()

    def slow(connection: socket.socket, request: bytes) -> None:
        # Longer than the deadline for scores, which counts from the engine's answer.
        waited.wait(1)
        nodes.answer(_HITS)(connection, request)

    node.script = slow
    answer = ask(proxy.url, "/slow/_search", _BODY)
    assert (answer.status, answer.body.decode()) == (200, _HITS)


def test_a_node_that_dies_is_replaced_by_the_other_for_searches() -> None:
    with (
        nodes.scripted(lambda connection, request: False) as dying,
        nodes.scripted(nodes.answer(_HITS)) as living,
        proxies.serve(dying.url, living.url) as proxy,
    ):
        for _ in range(2):
            answer = ask(proxy.url, "/x/_search", _BODY)
            assert (answer.status, answer.body.decode()) == (200, _HITS)
