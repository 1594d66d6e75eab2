"""`rerank-bridge index` and `mappings` as a user runs them, on real engines and on a local one that hangs."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from connector.embedded.engine import RunningEngine
from connector.embedded.valkey import RunningValkey
from tests.fixtures import console
from tests.fixtures.scripted import ScriptedWorker


@pytest.fixture
def name() -> str:
    """An index that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints of a test stay in the test's folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def corpus(path: Path, count: int) -> Path:
    rows = [{"_id": f"d{i}", "title": f"Title {i}", "text": f"Parsing dates number {i}"} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def get(url: str) -> Any:
    with urllib.request.urlopen(url) as response:
        return json.load(response)


def test_a_file_is_indexed_and_reported(elasticsearch: RunningEngine, name: str, tmp_path: Path) -> None:
    file = corpus(tmp_path / "c.jsonl", 1234)
    ran = console.run("index", str(file), "--index", name, ENGINE_URL=elasticsearch.url)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith(f"1,234 documents indexed into {name} in ")
    assert ran.stdout.rstrip().endswith("a second)")
    assert get(f"{elasticsearch.url}/{name}/_count")["count"] == 1234
    again = console.run("index", str(file), "--index", name, "--json", ENGINE_URL=elasticsearch.url)
    assert json.loads(again.stdout)["documents"] == 1234
    assert get(f"{elasticsearch.url}/{name}/_count")["count"] == 1234


def test_standard_input_is_indexed(opensearch: RunningEngine, name: str) -> None:
    lines = '{"sku": 1, "body": "Dates are parsed"}\n{"sku": 2, "body": "x"}\n'
    options = ["--id-field", "sku", "--text-field", "body", "--engine-url", opensearch.url]
    ran = console.run("index", "-", "--index", name, *options, stdin=lines)
    assert ran.returncode == 0, ran.stderr
    found = get(f"{opensearch.url}/{name}/_search?q=body:parsing")["hits"]["hits"]
    assert [hit["_id"] for hit in found] == ["1"]
    assert console.run("index", "-", "--index", name, "--resume", *options).returncode == 2


def test_refused_documents_and_bad_lines_are_told_with_file_and_line(
    elasticsearch: RunningEngine, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "c.jsonl"
    file.write_text('{"_id":"1","date":"yesterday"}\n{"_id":"2","text":"x"}\nbroken\n{"_id":"4","text":"x"}\n')
    stopped = console.run("index", str(file), "--index", name, ENGINE_URL=elasticsearch.url)
    assert stopped.returncode == 2
    refused, error = stopped.stderr.splitlines()
    assert refused.startswith(f"refused: {file}, line 1: 1: document_parsing_exception")
    assert error.startswith(f"error: {file}, line 3: JSON is malformed")
    assert get(f"{elasticsearch.url}/{name}/_count")["count"] == 1
    passed = console.run("index", str(file), "--index", name, "--skip-bad", "--json", ENGINE_URL=elasticsearch.url)
    assert passed.returncode == 3
    told = json.loads(passed.stdout)
    assert (told["documents"], told["refused"], told["skipped"]) == (2, 1, 1)
    assert [bad["line"] for bad in told["bad_lines"]] == [3]
    assert get(f"{elasticsearch.url}/{name}/_count")["count"] == 2
    file.write_text(file.read_text().replace("broken", '{"_id":"3"}').replace("yesterday", "2026-11-20"))
    mended = console.run("index", str(file), "--index", name, ENGINE_URL=elasticsearch.url)
    assert mended.returncode == 0
    assert get(f"{elasticsearch.url}/{name}/_count")["count"] == 4


def test_embedded_texts_become_vectors_and_an_index_that_cannot_hold_them_is_refused(
    elasticsearch: RunningEngine, valkey: RunningValkey, name: str, tmp_path: Path
) -> None:
    file = corpus(tmp_path / "c.jsonl", 100)
    servers = {"ENGINE_URL": elasticsearch.url, "BROKER_URL": valkey.url, "STATE_URL": valkey.url}
    embed = ["--embed", "--embed-model", name]
    with ScriptedWorker(valkey.url, name, dimensions=3):
        ran = console.run("index", str(file), "--index", name, *embed, **servers)
        assert ran.returncode == 0, ran.stderr
        console.run("index", str(file), "--index", f"{name}-no", "--dimensions", "4", **servers)
        unfit = console.run("index", str(file), "--index", f"{name}-no", *embed, **servers)
    assert unfit.returncode == 2
    assert "has vectors of 4, field vector" in unfit.stderr
    mapping = get(f"{elasticsearch.url}/{name}/_mapping")[name]["mappings"]["properties"]["vector"]
    assert mapping["dims"] == 3
    found = get(f"{elasticsearch.url}/{name}/_search?q=_exists_:vector&track_total_hits=true")
    assert found["hits"]["total"]["value"] == 100
    alone = console.run("index", str(file), "--index", name, "--embed", "--embed-model", f"{name}-gone", **servers)
    assert alone.returncode == 4
    assert "start one with rerank-bridge worker --kind embed" in alone.stderr


class Hanging(ThreadingHTTPServer):
    """An engine that takes two bulk requests and then keeps silent until it is let go on."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.created = False
        self.taken: list[list[str]] = []
        self.stuck = threading.Event()
        self.go_on = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answering(BaseHTTPRequestHandler):
    """The few answers that loading needs."""

    server: Hanging

    def answer(self, value: object, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path == "/":
            self.answer({"version": {"number": "3.5.0", "distribution": "opensearch"}})
        else:
            self.answer({"x": {}}, 200 if self.server.created else 404)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.created = True
        self.answer({})

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("content-length", 0))).splitlines()
        ids = [json.loads(line)["index"]["_id"] for line in data[::2]]
        # Batches are sent side by side: all but the first two wait, whichever comes first.
        if ids and int(ids[0][1:]) >= 20 and not self.server.go_on.is_set():
            self.server.stuck.set()
            self.server.go_on.wait(60)
            return
        if ids:
            self.server.taken.append(ids)
        self.answer({"errors": False, "items": [{"index": {"_id": id_, "status": 201}} for id_ in ids]})

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("killed", [signal.SIGKILL, signal.SIGINT])
def test_a_load_that_was_killed_goes_on_where_it_was(killed: signal.Signals, tmp_path: Path) -> None:
    file = corpus(tmp_path / "c.jsonl", 50)
    with Hanging() as engine:
        serving = threading.Thread(target=engine.serve_forever)
        serving.start()
        try:
            command = [console.COMMAND, "index", str(file), "--index", "x", "--batch", "10", "--engine-url", engine.url]
            loading = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=console.heed_interrupts)
            assert engine.stuck.wait(60)
            # The first batches count once they are done in order; the checkpoint of both is there by then.
            places = tmp_path / "state" / "rerank-bridge" / "index"
            wait_for_line(places, 20)
            loading.send_signal(killed)
            _, complaint = loading.communicate(timeout=60)
            assert b"Traceback" not in complaint
            engine.go_on.set()
            resumed = console.run(*command[1:], "--resume")
        finally:
            engine.go_on.set()
            engine.shutdown()
            serving.join()
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stderr == "going on after line 20\n"
    assert resumed.stdout.startswith("30 documents indexed into x")
    sent = [id_ for ids in engine.taken for id_ in ids]
    assert sorted(sent) == sorted(f"d{i}" for i in range(50))


def wait_for_line(places: Path, line: int) -> None:
    """Waits until the checkpoint stands there."""
    done = threading.Event()
    for _ in range(6000):
        found = list(places.glob("*.json"))
        if found and json.loads(found[0].read_text())["line"] == line:
            return
        done.wait(0.01)
    raise AssertionError(f"the checkpoint never came to line {line}")


def test_mappings_are_installed_compared_and_shown(opensearch: RunningEngine, name: str) -> None:
    options = ["--name", name, "--pattern", f"{name}-*", "--engine-url", opensearch.url]
    assert console.run("mappings", "diff", *options).returncode == 1
    installed = console.run("mappings", "install", *options)
    assert installed.returncode == 0, installed.stderr
    assert installed.stdout == f"installed index template {name} for {name}-* on opensearch {opensearch.version}\n"
    same = console.run("mappings", "diff", *options)
    assert (same.returncode, same.stdout) == (0, "")
    other = console.run("mappings", "diff", "--dimensions", "768", *options)
    assert other.returncode == 1
    assert other.stdout == (
        "- engine  template.mappings.properties.vector.dimension = 384\n"
        "+ ours    template.mappings.properties.vector.dimension = 768\n"
    )
    told = json.loads(console.run("mappings", "diff", "--json", "--dimensions", "768", *options).stdout)
    assert (told["installed"], len(told["differences"])) == (True, 1)
    shown = json.loads(console.run("mappings", "show", "--engine", "opensearch", "--pattern", f"{name}-*").stdout)
    there = get(f"{opensearch.url}/_index_template/{name}")["index_templates"][0]["index_template"]
    assert there["template"]["mappings"] == shown["template"]["mappings"]
