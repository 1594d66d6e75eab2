"""The proxy as a process: TLS, several processes, signals, addresses, settings that cannot be used."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import signal
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from tests.fixtures import nodes, proxies
from tests.fixtures.proxies import SCRIPT, RunningProxy

SEARCH = b'{"query":{"match":{"body":"two words"}},"size":2}'
HITS = '{"took":1,"timed_out":false,"hits":{"total":{"value":0,"relation":"eq"},"max_score":null,"hits":[]}}'


def _get(proxy: RunningProxy, path: str, body: bytes | None = None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(*proxy.address, timeout=30)
    connection.request("POST" if body else "GET", path, body, {"content-type": "application/json"} if body else {})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    pem, key = folder / "pem", folder / "key"
    subprocess.run(
        shlex.split(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test "
            f"-addext subjectAltName=IP:127.0.0.1 -keyout '{key}' -out '{pem}'"
        ),
        check=True,
        capture_output=True,
    )
    return pem, key


def test_tls_on_both_sides_holds_with_the_right_authority_and_only_with_it(certificate: tuple[Path, Path]) -> None:
    pem, key = certificate
    inwards = ("--tls-certificate", str(pem), "--tls-key", str(key))
    trusting = ssl.create_default_context(cafile=pem)
    with (
        nodes.scripted(nodes.answer('"engine"')) as node,
        # The inner proxy is the engine with TLS; one outer proxy knows who signed its certificate, the other does not.
        proxies.serve(node.url, arguments=inwards) as inner,
        proxies.serve(inner.url, arguments=(*inwards, "--ca-file", str(pem))) as outer,
        proxies.serve(inner.url) as distrusting,
    ):
        connection = http.client.HTTPSConnection(*outer.address, context=trusting, timeout=30)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b'"engine"'
        connection.close()
        assert _get(distrusting, "/").status == 503


def test_several_processes_share_one_address_and_each_reloads_its_policies(tmp_path: Path) -> None:
    config = tmp_path / "rerank-bridge.toml"
    config.write_text('[[index]]\npattern = "a"\n')
    with (
        nodes.scripted(nodes.answer(HITS)) as node,
        proxies.serve(node.url, arguments=("--workers", "2", "--config", str(config))) as proxy,
    ):
        assert _get(proxy, "/b/_search", SEARCH).headers["x-rerank-status"] == "off"
        pids = set()
        while len(pids) < 2:
            connection = http.client.HTTPConnection(*proxy.address, timeout=30)
            connection.request("GET", "/_rerank/stats")
            pids.add(json.loads(connection.getresponse().read())["pid"])
            connection.close()
        config.write_text('[[index]]\npattern = "b"\n')
        proxy.process.send_signal(signal.SIGHUP)
        with proxy.grown:
            assert proxy.grown.wait_for(
                lambda: sum(line["event"] == "policies_loaded" for line in proxy.lines) == 2, timeout=30
            )
        assert {_get(proxy, "/b/_search", SEARCH).headers["x-rerank-status"] for _ in range(6)} == {"skipped"}


def test_a_bad_new_file_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    config = tmp_path / "rerank-bridge.toml"
    config.write_text('[[index]]\npattern = "a"\n')
    with (
        nodes.scripted(nodes.answer(HITS)) as node,
        proxies.serve(node.url, arguments=("--config", str(config))) as proxy,
    ):
        assert _get(proxy, "/a/_search", SEARCH).headers["x-rerank-status"] != "off"
        config.write_text('[[index]]\npattern = "b"\nwindow = 0\n')
        proxy.process.send_signal(signal.SIGHUP)
        assert f"{config}, line 3: window = 0" in proxy.logged("policies_refused")["reason"]
        assert _get(proxy, "/a/_search", SEARCH).headers["x-rerank-status"] != "off"
        assert _get(proxy, "/b/_search", SEARCH).headers["x-rerank-status"] == "off"


def test_on_sigterm_what_is_under_way_is_finished_and_nothing_new_is_taken() -> None:
    asked, go = threading.Event(), threading.Event()

    def slow(connection: socket.socket, request: bytes) -> None:
        asked.set()
        assert go.wait(30)
        nodes.answer('"late"')(connection, request)

    with nodes.scripted(slow) as node, proxies.serve(node.url) as proxy:
        connection = http.client.HTTPConnection(*proxy.address, timeout=30)
        connection.request("GET", "/")
        assert asked.wait(30)
        proxy.process.terminate()
        _wait_until_refused(proxy.address)
        go.set()
        assert connection.getresponse().read() == b'"late"'
        connection.close()
        assert proxy.process.wait(timeout=30) in (0, -signal.SIGTERM)


def _wait_until_refused(address: tuple[str, int]) -> None:
    while True:
        try:
            socket.create_connection(address, timeout=5).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            continue


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    with nodes.scripted(nodes.answer("{}")) as node, proxies.serve(node.url) as proxy:
        assert proxy.address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine-url", "ftp://x"], "an engine's address is http[s]://host:port"),
        (["--engine-url", "http://u:p@127.0.0.1:9"], "--add-credentials"),
        (["--config", "/nowhere.toml"], "there is no file /nowhere.toml"),
        (["--tls-key", "/nowhere.key"], "certificate"),
        (["--host", "203.0.113.1", "--port", "1"], "cannot listen on 203.0.113.1:1"),
        (["--log-level", "loud"], "loud"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_clear_line(arguments: list[str], said: str) -> None:
    run = subprocess.run([SCRIPT, "serve", *arguments], capture_output=True, text=True, timeout=60, env={**os.environ})
    assert run.returncode == 2
    assert said in " ".join(run.stderr.split())
    assert "Traceback" not in run.stderr
