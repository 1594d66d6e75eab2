"""Worker processes, started by the command: they score through Celery, share work, outlive their Redis, end tidily."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
import redis

from connector.contract import heartbeats, names, scores
from connector.embedded import ports
from connector.embedded.valkey import RunningValkey, start_valkey
from connector.embedded.worker import RunningWorker, start_worker
from tests.fixtures.asking import Asker, request

DOCUMENTS = [
    "The datetime module supplies classes for manipulating dates and times.",
    "A set is an unordered collection with no duplicate elements.",
    "datetime.strptime parses a string into a date according to a format.",
]
QUERY = "parse a date from a string"


def environment(url: str) -> dict[str, str]:
    return {f"RERANK_BRIDGE_{role}_URL": url for role in ("BROKER", "STATE", "CACHE")}


def wait_until(condition: Callable[[], bool], what: str, timeout: float = 60.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"waited {timeout} s: {what}"
        time.sleep(0.02)


@contextmanager
def own_worker(url: str, alias: str) -> Iterator[RunningWorker]:
    with start_worker(environment(url), backend="onnx", alias=alias) as worker:
        yield worker


def test_a_request_sent_through_celery_is_scored_and_stored(worker: RunningWorker, asker: Asker) -> None:
    fingerprint = worker.heartbeat.fingerprint
    reply = asker.score(fingerprint, QUERY, DOCUMENTS)
    assert reply.error is None
    assert reply.values is not None
    assert len(set(reply.values)) == 3
    asked = request(fingerprint, QUERY, DOCUMENTS)
    stored = scores.reread(asker.redis, asked.cache_key, [bytes.fromhex(field) for field in asked.fields])
    assert tuple(stored) == reply.values
    assert asker.score(fingerprint, QUERY, DOCUMENTS[::-1]).values == reply.values[::-1]


@pytest.mark.parametrize("lane", [names.INTERACTIVE, names.BATCH])
def test_both_lanes_are_served(worker: RunningWorker, asker: Asker, lane: names.Lane) -> None:
    reply = asker.score(worker.heartbeat.fingerprint, QUERY, DOCUMENTS, lane=lane, salt=f"lane {lane}")
    assert reply.values is not None


def test_a_served_request_leaves_nothing_unacknowledged(worker: RunningWorker, asker: Asker) -> None:
    for lane in (names.INTERACTIVE, names.BATCH):
        asker.score(worker.heartbeat.fingerprint, QUERY, DOCUMENTS, lane=lane, salt=f"unacked {lane}")
    wait_until(lambda: asker.redis.hlen("unacked") == 0, "all acknowledged")


@pytest.mark.parametrize(
    "text", ["", " ", "\x00\x1b[31m\x7f", "lone \ud83d surrogate", "字" * 5000, "word " * 2_000_000], ids=ascii
)
def test_text_of_any_kind_is_scored_and_the_worker_lives_on(worker: RunningWorker, asker: Asker, text: str) -> None:
    fingerprint = worker.heartbeat.fingerprint
    reply = asker.score(fingerprint, QUERY, [text, DOCUMENTS[0]], salt="any text")
    assert reply.values is not None
    assert reply.values[1] == asker.score(fingerprint, QUERY, DOCUMENTS[:1], salt="any text").values[0]  # type: ignore[index]


def test_a_burst_of_requests_is_answered_each_with_its_own_scores(worker: RunningWorker, asker: Asker) -> None:
    fingerprint = worker.heartbeat.fingerprint
    alone = asker.score(fingerprint, QUERY, DOCUMENTS, salt="burst")
    sent = {}
    for number in range(100):
        documents = DOCUMENTS[number % 3 :] + DOCUMENTS[: number % 3]
        asked = request(fingerprint, QUERY, documents, reply_to=asker.id, salt="burst")
        asker.send(names.SCORE_TASK, asked.encode(), fingerprint=fingerprint)
        sent[asked.id] = number % 3
    for _ in range(100):
        reply = asker.receive()
        assert alone.values is not None
        shift = sent.pop(reply.id)
        assert reply.values == alone.values[shift:] + alone.values[:shift]
    assert not sent


def test_a_killed_worker_s_heartbeat_goes_and_its_alias_is_remembered(valkey: RunningValkey, asker: Asker) -> None:
    with own_worker(valkey.url, "killed") as worker:
        key = names.heartbeat_key(worker.heartbeat.id)
        assert 0 < asker.redis.ttl(key) <= heartbeats.LIFETIME
        os.kill(worker.pid, signal.SIGKILL)
        wait_until(lambda: not asker.redis.exists(key), "the heartbeat expires", heartbeats.LIFETIME + 5)
    remembered = heartbeats.Heartbeat.decode(asker.redis.get(names.alias_key("killed")) or b"")
    assert remembered.fingerprint == worker.heartbeat.fingerprint


def test_batch_work_of_a_killed_worker_stays_with_the_broker(valkey: RunningValkey) -> None:
    with start_valkey(in_memory=True) as server, own_worker(server.url, "killed-batch") as worker:
        asker = Asker(server.url)
        fingerprint = worker.heartbeat.fingerprint
        much = [f"{number} {text}" * 10 for number in range(1000) for text in DOCUMENTS]
        asked = request(fingerprint, QUERY, much)
        asker.send(names.SCORE_TASK, asked.encode(), fingerprint=fingerprint, lane=names.BATCH)
        wait_until(lambda: asker.redis.hlen("unacked") == 1, "the worker has taken it")
        os.kill(worker.pid, signal.SIGKILL)
        assert asker.redis.hlen("unacked") == 1
        assert asker.redis.exists(asked.cache_key) == 0
        asker.close()


def test_a_worker_told_to_stop_finishes_what_it_took_and_takes_back_its_heartbeat(
    valkey: RunningValkey, asker: Asker
) -> None:
    with own_worker(valkey.url, "stopped") as worker:
        fingerprint = worker.heartbeat.fingerprint
        key = names.heartbeat_key(worker.heartbeat.id)
        asked = [
            request(fingerprint, f"{QUERY} {n}", [f"{text} {n}" for text in DOCUMENTS * 10], reply_to=asker.id)
            for n in range(8)
        ]
        for one in asked:
            asker.send(names.SCORE_TASK, one.encode(), fingerprint=fingerprint)
        first = asker.receive()
        os.kill(worker.pid, signal.SIGTERM)
        process = psutil.Process(worker.pid)
        assert process.wait(60) in (0, None)
        assert not asker.redis.exists(key)
        assert not asker.redis.sismember(names.WORKERS_KEY, worker.heartbeat.id)
    queue = names.queue(fingerprint, names.INTERACTIVE)
    answered = {first.id}
    while len(answered) + asker.redis.llen(queue) < len(asked):
        answered.add(asker.receive().id)
    # What it had not begun is the next worker's.
    asker.redis.delete(queue)


def test_a_worker_comes_back_by_itself_when_its_redis_was_away(tmp_path: Path) -> None:
    port = ports.free()
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        url = first.enter_context(start_valkey(port=port, in_memory=True)).url
        worker = stack.enter_context(own_worker(url, "patient"))
        fingerprint = worker.heartbeat.fingerprint
        asker = Asker(url)
        assert asker.score(fingerprint, QUERY, DOCUMENTS).values is not None
        first.close()
        asker.close()
        stack.enter_context(start_valkey(port=port, in_memory=True))
        back = Asker(url)
        wait_until(
            lambda: _exists(back.redis, names.heartbeat_key(worker.heartbeat.id)), "heartbeats are written again"
        )
        # The new server knows nothing: the worker tells its alias again.
        assert heartbeats.Heartbeat.decode(back.redis.get(names.alias_key("patient")) or b"").fingerprint == fingerprint
        assert back.score(fingerprint, QUERY, DOCUMENTS).values is not None
        assert psutil.pid_exists(worker.pid)
        back.close()


def _exists(client: redis.Redis, key: str) -> bool:
    try:
        return bool(client.exists(key))
    except redis.RedisError:
        return False


def test_two_workers_share_one_queue(valkey: RunningValkey, worker: RunningWorker, asker: Asker) -> None:
    with own_worker(valkey.url, "second") as second:
        assert second.heartbeat.fingerprint == worker.heartbeat.fingerprint
        fingerprint = second.heartbeat.fingerprint
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            for number in range(10):
                asked = request(fingerprint, f"shared {number}", DOCUMENTS, reply_to=asker.id)
                asker.send(names.SCORE_TASK, asked.encode(), fingerprint=fingerprint)
            # The stopped worker may have taken one message that it listened for; the other nine are served.
            replies = [asker.receive() for _ in range(9)]
        finally:
            os.kill(worker.pid, signal.SIGCONT)
        replies.append(asker.receive())
        assert all(reply.values is not None for reply in replies)


def test_metrics_are_served_where_a_port_is_given(valkey: RunningValkey, asker: Asker) -> None:
    port = ports.free()
    command = [*_command(), "worker", "--backend", "onnx", "--alias", "metered", "--metrics-port", str(port)]
    with _process(command, environment(valkey.url)) as process:
        wait_until(lambda: bool(asker.redis.exists(names.alias_key("metered"))) or process.poll() is not None, "ready")
        assert process.poll() is None
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            text = page.read().decode()
    assert "rerank_bridge_pairs_total" in text
    assert "rerank_bridge_device_memory_bytes" in text


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--model", "/no/such/model"], 5, "there is no such folder"),
        (["--model", "."], 5, "config.json is missing"),
        (["--kind", "rank"], 2, "--kind rank"),
        (["--backend", "onnx", "--device", "cuda:0"], 2, "needs --backend torch"),
        (["--devices", "two"], 2, "--devices two"),
    ],
)
def test_what_cannot_be_started_is_one_line_and_an_exit_code(
    valkey: RunningValkey, tmp_path: Path, options: list[str], code: int, message: str
) -> None:
    done = subprocess.run(
        [*_command(), "worker", *options],
        env={**os.environ, **environment(valkey.url)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def _command() -> list[str]:
    return [str(Path(sys.executable).with_name("rerank-bridge"))]


@contextmanager
def _process(command: list[str], variables: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env={**os.environ, **variables}, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)
