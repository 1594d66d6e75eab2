"""Several nodes: turns, the dead passed over, what is repeated and what never."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from tests.fixtures import nodes, proxies
from tests.fixtures.nodes import ScriptedNode
from tests.fixtures.proxies import RunningProxy


class Pair:
    """A proxy in front of two nodes."""

    def __init__(self, one: ScriptedNode, other: ScriptedNode, proxy: RunningProxy) -> None:
        self.one, self.other, self.proxy = one, other, proxy

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """One request on a connection of its own."""
        return _ask(self.proxy, method, path, body)

    @property
    def asked(self) -> int:
        """Requests that reached a node."""
        return len(self.one.requests) + len(self.other.requests)


def _ask(proxy: RunningProxy, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*proxy.address, timeout=20)
    connection.request(method, path, body=body, headers={"content-type": "application/json"} if body else {})
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def _break_off(connection: socket.socket, request: bytes) -> bool:
    return False


@pytest.fixture(scope="module")
def module_pair() -> Iterator[Pair]:
    with (
        nodes.scripted(nodes.answer('"one"')) as one,
        nodes.scripted(nodes.answer('"other"')) as other,
        proxies.serve(one.url, other.url) as proxy,
    ):
        yield Pair(one, other, proxy)


@pytest.fixture
def pair(module_pair: Pair) -> Pair:
    for node, name in ((module_pair.one, "one"), (module_pair.other, "other")):
        node.script = nodes.answer(f'"{name}"')
        node.requests.clear()
    return module_pair


def test_nodes_take_turns(pair: Pair) -> None:
    answers = [pair.ask("GET", "/")[1] for _ in range(4)]
    assert answers in ([b'"one"', b'"other"'] * 2, [b'"other"', b'"one"'] * 2)


@pytest.mark.parametrize(("method", "path"), [("GET", "/x"), ("POST", "/x/_search?q=a"), ("POST", "/_count")])
def test_a_reading_request_that_breaks_is_repeated_on_the_other_node(pair: Pair, method: str, path: str) -> None:
    pair.one.script = _break_off
    for _ in range(2):
        assert pair.ask(method, path, b'{"size":0}' if method == "POST" else None) == (200, b'"other"')


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/x/_doc/1"), ("DELETE", "/x"), ("POST", "/x/_doc"), ("POST", "/_bulk")]
)
def test_a_writing_request_that_breaks_is_not_repeated(pair: Pair, method: str, path: str) -> None:
    pair.one.script = pair.other.script = _break_off
    status, body = pair.ask(method, path, b"{}\n")
    assert status == 503
    assert json.loads(body)["error"]["type"] == "no_node_available_exception"
    assert pair.asked == 1


def test_a_search_is_repeated_once_and_no_more(pair: Pair) -> None:
    pair.one.script = pair.other.script = _break_off
    assert pair.ask("POST", "/x/_count", b"{}")[0] == 503
    assert pair.asked == 2


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_an_engine_that_says_it_is_busy_is_not_asked_again(pair: Pair, status: str) -> None:
    pair.one.script = pair.other.script = nodes.answer('{"busy":1}', status=status)
    assert pair.ask("GET", "/x") == (int(status[:3]), b'{"busy":1}')
    assert pair.asked == 1


def test_a_dead_node_is_passed_over_for_writes_too_and_comes_back() -> None:
    with nodes.scripted(nodes.answer('"dies"')) as dies:
        port = dies.server.server_address[1]
    with nodes.scripted(nodes.answer('"lives"')) as lives, proxies.serve(dies.url, lives.url) as proxy:
        for _ in range(4):
            assert _ask(proxy, "PUT", "/x/_doc/1", b"{}") == (200, b'"lives"')
        with nodes.scripted(nodes.answer('"dies"'), port=port):
            while _ask(proxy, "GET", "/")[1] != b'"dies"':
                pass


def test_without_any_node_the_answer_is_a_503_in_the_engines_shape_and_the_proxy_is_not_ready() -> None:
    with nodes.scripted(nodes.answer("{}")) as gone:
        url = gone.url
    with proxies.serve(url) as proxy:
        status, body = _ask(proxy, "GET", "/x/_doc/1")
        error = json.loads(body)
        assert (status, error["status"]) == (503, 503)
        assert error["error"]["root_cause"][0]["type"] == "no_node_available_exception"
        assert _ask(proxy, "POST", "/x/_search", b'{"query":{"match":{"a":"words"}}}')[0] == 503
        assert _ask(proxy, "GET", "/_rerank/health/ready")[0] == 503
        assert _ask(proxy, "GET", "/_rerank/health/live")[0] == 200


def test_the_credentials_of_the_engines_address_are_lent_only_when_told_to() -> None:
    with nodes.scripted(nodes.answer("{}")) as node:
        url = node.url.replace("http://", "http://user:secret@")
        with proxies.serve(url, arguments=("--add-credentials",)) as proxy:
            _ask(proxy, "GET", "/")
            assert b"authorization: Basic dXNlcjpzZWNyZXQ=" in node.requests[-1]
            assert "secret" not in json.dumps(proxy.lines)


def test_an_engine_behind_a_path_is_asked_below_it() -> None:
    with nodes.scripted(nodes.answer("{}")) as node, proxies.serve(node.url + "/es/") as proxy:
        _ask(proxy, "GET", "/a%2Fb?x=1")
        assert node.requests[-1].startswith(b"GET /es/a%2Fb?x=1 HTTP/1.1\r\n")
