"""Requests and answers on their way through the proxy, byte by byte, against a node that remembers and misbehaves."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures import nodes, proxies
from tests.fixtures.nodes import ScriptedNode
from tests.fixtures.proxies import RunningProxy


class Stand:
    """A proxy in front of one node whose script each test sets."""

    def __init__(self, node: ScriptedNode, proxy: RunningProxy) -> None:
        self.node, self.proxy = node, proxy

    def send(self, data: bytes, *, until_closed: bool = False) -> bytes:
        """Sends raw bytes and reads one answer with a content-length, or all there is."""
        with socket.create_connection(self.proxy.address, timeout=20) as connection:
            connection.sendall(data)
            received = b""
            while part := connection.recv(1 << 16):
                received += part
                if not until_closed and _whole(received):
                    break
            return received

    @property
    def seen(self) -> bytes:
        """The last request that the node got."""
        return self.node.requests[-1]


def _whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end and lengths) and len(body) >= int(lengths[0].split(b":")[1])


@pytest.fixture(scope="module")
def module_stand() -> Iterator[Stand]:
    with nodes.scripted(nodes.answer("{}")) as node, proxies.serve(node.url) as proxy:
        yield Stand(node, proxy)


@pytest.fixture
def stand(module_stand: Stand) -> Stand:
    module_stand.node.script = nodes.answer("{}")
    module_stand.node.requests.clear()
    module_stand.node.closed.clear()
    return module_stand


def test_method_target_headers_and_body_arrive_as_they_were_sent(stand: Stand) -> None:
    body = b'{"a" : 1.10}\n'
    stand.send(
        b"PUT /a%2Fb,%3Cc%3E/_doc/%C3%A9?x=%20+&y&x=2&=3 HTTP/1.1\r\nHost: site\r\nX-Twice: one\r\nX-Twice: two\r\n"
        b"Authorization: ApiKey abc\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n" + body
    )
    line, _, rest = stand.seen.partition(b"\r\n")
    assert line == b"PUT /a%2Fb,%3Cc%3E/_doc/%C3%A9?x=%20+&y&x=2&=3 HTTP/1.1"
    headers = rest.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert headers == [
        b"host: " + stand.node.url.removeprefix("http://").encode(),
        b"x-twice: one",
        b"x-twice: two",
        b"authorization: ApiKey abc",
        b"content-type: application/json",
        b"content-length: 13",
    ]
    assert stand.seen.endswith(b"\r\n\r\n" + body)


def test_hop_by_hop_headers_and_those_that_connection_names_stay_behind(stand: Stand) -> None:
    stand.send(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Secret-Hop\r\nX-Secret-Hop: 1\r\nTE: trailers\r\n"
        b"Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\nX-Stays: 1\r\n\r\n"
    )
    assert b"x-stays: 1" in stand.seen
    for name in (b"x-secret-hop", b"te:", b"keep-alive", b"proxy-connection", b"upgrade", b"connection"):
        assert name not in stand.seen


def test_a_compressed_body_passes_in_both_directions_without_being_touched(stand: Stand) -> None:
    packed = gzip.compress(b'{"index":{}}\n{"a":1}\n' * 100)

    def script(connection: socket.socket, request: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nX-Elastic-Product: Elasticsearch\r\n"
        connection.sendall(
            head + b"Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
        )

    stand.node.script = script
    answer = stand.send(
        b"POST /_bulk HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
        + packed
    )
    assert stand.seen.endswith(b"\r\n\r\n" + packed)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == packed
    assert head.count(b"set-cookie: ") == 2
    assert b"x-elastic-product: Elasticsearch" in head


def test_a_chunked_body_stays_chunked_in_both_directions(stand: Stand) -> None:
    def script(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")

    stand.node.script = script
    connection = http.client.HTTPConnection(*stand.proxy.address, timeout=20)
    connection.request("POST", "/_bulk", body=iter([b"x" * 70_000, b"y" * 10]), encode_chunked=True)
    response = connection.getresponse()
    assert response.getheader("transfer-encoding") == "chunked"
    assert response.read() == b"abcdefg"
    connection.close()
    assert b"transfer-encoding: chunked" in stand.seen
    assert b"content-length" not in stand.seen
    assert stand.seen.count(b"x") >= 70_000
    assert stand.seen.endswith(b"0\r\n\r\n")


def test_the_answer_to_head_announces_a_length_and_has_no_body(stand: Stand) -> None:
    def script(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")

    stand.node.script = script
    connection = http.client.HTTPConnection(*stand.proxy.address, timeout=20)
    for _ in range(2):
        connection.request("HEAD", "/x")
        response = connection.getresponse()
        assert response.getheader("content-length") == "1234"
        assert response.read() == b""
    connection.close()


def test_an_expectation_reaches_the_engine_whose_refusal_comes_before_the_body(stand: Stand) -> None:
    def script(connection: socket.socket, request: bytes) -> bool:
        connection.sendall(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n")
        return False

    stand.node.script = script
    answer = stand.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 200000000\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"expect: 100-continue" in stand.seen


def test_after_an_interim_answer_the_body_follows(stand: Stand) -> None:
    bodies = []

    def script(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        bodies.append(connection.recv(100))
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    stand.node.script = script
    with socket.create_connection(stand.proxy.address, timeout=20) as connection:
        connection.sendall(b"PUT /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(b"abc")
        assert connection.recv(1000).startswith(b"HTTP/1.1 201")
    assert bodies == [b"abc"]


@pytest.mark.parametrize("target", [b"http://other.example/x", b"//other.example/x", b"*", b"other.example:80"])
def test_a_target_that_names_another_host_is_refused(stand: Stand, target: bytes) -> None:
    method = b"CONNECT" if b":80" in target else b"OPTIONS" if target == b"*" else b"GET"
    answer = stand.send(method + b" " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] == "illegal_argument_exception"
    assert stand.node.requests == []


def test_a_target_with_an_at_sign_before_any_path_is_refused(stand: Stand) -> None:
    assert stand.send(b"GET @other.example/x HTTP/1.1\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert stand.node.requests == []


def test_headers_without_end_are_cut_off(stand: Stand) -> None:
    answer = b""
    # What was not read of the request may turn the end of the connection into a reset.
    with contextlib.suppress(ConnectionError):
        answer = stand.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 600_000, until_closed=True)
    assert not answer or answer.startswith(b"HTTP/1.1 400")
    assert stand.node.requests == []


def test_pipelined_requests_are_answered_in_order(stand: Stand) -> None:
    stand.node.script = lambda connection, request: nodes.answer(f'"{request.split()[1].decode()}"')(
        connection, request
    )
    data = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(3))
    with socket.create_connection(stand.proxy.address, timeout=20) as connection:
        connection.sendall(data)
        received = b""
        while received.count(b'"/') < 3:
            received += connection.recv(1 << 16)
    assert received.find(b'"/0"') < received.find(b'"/1"') < received.find(b'"/2"')


def test_a_client_of_http_1_0_gets_an_answer_that_it_understands(stand: Stand) -> None:
    answer = stand.send(b"GET /x HTTP/1.0\r\n\r\n", until_closed=True)
    assert stand.seen.startswith(b"GET /x HTTP/1.0\r\n")
    assert b"transfer-encoding" not in answer
    assert answer.endswith(b"\r\n\r\n{}")


def test_a_client_that_leaves_ends_the_engines_work(stand: Stand) -> None:
    asked = threading.Event()
    released = threading.Event()

    def script(connection: socket.socket, request: bytes) -> None:
        asked.set()
        released.wait(20)
        assert connection.recv(1) == b""
        raise OSError

    stand.node.script = script
    with socket.create_connection(stand.proxy.address, timeout=20) as connection:
        connection.sendall(b"GET /_slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert asked.wait(20)
    released.set()
    assert stand.node.closed.wait(20)


def test_an_answer_that_breaks_off_is_not_made_to_look_whole(stand: Stand) -> None:
    def script(connection: socket.socket, request: bytes) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        return False

    stand.node.script = script
    answer = stand.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", until_closed=True)
    assert answer.endswith(b"\r\n\r\nabc")


def test_what_is_no_http_is_told_in_the_engines_error_shape(stand: Stand) -> None:
    def script(connection: socket.socket, request: bytes) -> bool:
        connection.sendall(b"garbage\r\n\r\n")
        return False

    stand.node.script = script
    answer = stand.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 503")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 503


def test_two_hundred_megabytes_pass_with_flat_memory(stand: Stand) -> None:
    block = b"x" * (1 << 20)
    sizes = []

    def script(connection: socket.socket, request: bytes) -> bool:
        sizes.append(len(request))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (100 * len(block)))
        for _ in range(100):
            connection.sendall(block)
        return False

    stand.node.script = script
    before = _peak(stand.proxy.process.pid)
    connection = http.client.HTTPConnection(*stand.proxy.address, timeout=60)
    connection.putrequest("POST", "/_bulk")
    connection.putheader("content-length", str(100 * len(block)))
    connection.endheaders()
    for _ in range(100):
        connection.send(block)
    response = connection.getresponse()
    received = 0
    while part := response.read(1 << 20):
        received += len(part)
    connection.close()
    stand.node.requests.clear()
    assert sizes[0] > received == 100 * len(block)
    assert _peak(stand.proxy.process.pid) - before < 40 << 20


def _peak(pid: int) -> int:
    """Bytes of memory that the process had at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
