"""What a request is, before anything is done with it: searching paths, parameters, bodies, headers, shapes."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.proxy import first_stage, headers, incoming, refusals, telling
from connector.proxy.forward import ClientGone, Request
from connector.proxy.incoming import Target, Unreadable
from connector.proxy.nodes import NodeUrl
from connector.proxy.telling import Told
from connector.query import SearchRequest


@pytest.mark.parametrize(
    ("method", "target", "found"),
    [
        ("GET", b"/_search", Target(api="_search", index="")),
        ("POST", b"/docs/_search?q=a/b", Target(api="_search", index="docs")),
        ("POST", b"/a%2Cb,%3Clogs-%7Bnow%2Fd%7D%3E/_search", Target(api="_search", index="a,b,<logs-{now/d}>")),
        ("GET", b"/_all/_search", Target(api="_search", index="_all")),
        ("POST", b"/docs/_msearch", Target(api="_msearch", index="docs")),
        ("HEAD", b"/docs/_search", None),
        ("PUT", b"/docs/_search", None),
        ("POST", b"/docs/_doc/_search", None),
        ("POST", b"/_other/_search", None),
        ("POST", b"//_search", None),
        ("POST", b"/docs/_search/template", None),
        ("POST", b"/docs/_search/scroll", None),
        ("POST", b"/docs/_async_search", None),
        ("POST", b"/docs/%5Fsearch", None),
        ("GET", b"/", None),
    ],
)
def test_only_search_and_msearch_of_an_index_are_looked_into(method: str, target: bytes, found: Target | None) -> None:
    assert incoming.target_of(method, target) == found


def test_parameters_are_decoded_in_order_with_empty_and_repeated_ones() -> None:
    assert incoming.parameters(b"/_search?q=a%20b+c&pretty&x=1&x=%C3%A9&=v") == (
        ("q", "a b c"), ("pretty", ""), ("x", "1"), ("x", "é"), ("", "v"),
    )  # fmt: skip


@pytest.mark.parametrize("target", [b"/_search?a=1;b=2", b"/_search?q=%ff", b"/_search?a=1#b", b"/_search?q=\xff"])
def test_a_query_string_that_only_the_engine_can_read_is_left_to_it(target: bytes) -> None:
    with pytest.raises(Unreadable):
        incoming.parameters(target)


@given(st.binary(max_size=3000))
def test_a_gzip_body_is_decoded_within_its_limit(data: bytes) -> None:
    packed = gzip.compress(data)
    encoding = [(b"content-encoding", b"gzip")]
    assert incoming.decoded(packed, encoding, max(1, len(data))) == data
    assert incoming.decoded(data, [], 1) == data
    if len(data) > 1:
        with pytest.raises(Unreadable):
            incoming.decoded(packed, encoding, len(data) - 1)


@pytest.mark.parametrize(
    ("data", "encoding"),
    [(b"no gzip", b"gzip"), (b"", b"gzip"), (b"x", b"br"), (gzip.compress(b"a") + gzip.compress(b"b"), b"gzip")],
)
def test_a_body_that_cannot_be_decoded_is_left_to_the_engine(data: bytes, encoding: bytes) -> None:
    with pytest.raises(Unreadable):
        incoming.decoded(data, [(b"content-encoding", encoding)], 100)


async def _read(parts: list[bytes], limit: int, length: int | None, *, leaves: bool = False) -> incoming.Raw:
    messages = [
        {"type": "http.request", "body": part, "more_body": leaves or i < len(parts) - 1}
        for i, part in enumerate(parts)
    ]
    if leaves:
        messages.append({"type": "http.disconnect"})
    arriving = iter(messages)

    async def receive() -> dict[str, object]:
        return next(arriving)

    framing = (b"transfer-encoding", b"chunked") if length is None else (b"content-length", b"%d" % length)
    return await incoming.read({"headers": [framing]}, receive, limit)


async def test_a_body_is_read_to_its_end_or_to_the_limit() -> None:
    whole = await _read([b"ab", b"cd"], 4, 4)
    assert (whole.data, whole.rest) == (b"abcd", None)
    announced = await _read([b"abcde"], 4, 5)
    assert announced.data == b""
    assert announced.rest is not None
    chunked = await _read([b"abc", b"de", b"f"], 4, None)
    assert chunked.data == b"abcde"
    assert chunked.rest is not None
    with pytest.raises(ClientGone):
        await _read([b"a"], 4, None, leaves=True)


def test_hop_by_hop_headers_and_those_named_by_connection_do_not_travel() -> None:
    sent = [(b"connection", b"Close, X-Hop ,keep-alive"), (b"x-hop", b"1"), (b"te", b"trailers"), (b"x-stays", b"2")]
    assert headers.end_to_end(sent) == [(b"x-stays", b"2")]


def test_a_rewritten_request_keeps_the_clients_headers_but_for_those_of_its_body_and_ours() -> None:
    request = Request(
        method="GET",
        target=b"/a%2Fb/_search?rerank_window=3&routing=x%20y",
        headers=[
            (b"authorization", b"ApiKey k"),
            (b"content-encoding", b"gzip"),
            (b"content-length", b"999"),
            (b"accept-encoding", b"gzip"),
            (b"x-rerank-window", b"3"),
            (b"x-opaque-id", b"7"),
        ],
        repeatable=True,
    )
    sent, body = first_stage.rewritten(
        request, SearchRequest(index="a/b", params=(("routing", "x y"), ("z", "ü")), body=b"{}")
    )
    assert sent.target == b"/a%2Fb/_search?routing=x%20y&z=%C3%BC"
    assert sent.headers == [
        (b"authorization", b"ApiKey k"),
        (b"x-opaque-id", b"7"),
        (b"content-length", b"2"),
        (b"content-type", b"application/json"),
    ]
    assert body.length == 2


def test_searches_of_one_form_differ_in_words_and_numbers_alone() -> None:
    def shape(body: bytes, *params: tuple[str, str]) -> object:
        return refusals.shape(SearchRequest(index="x", params=params, body=body))

    one = shape(b'{"query":{"match":{"a":"one"}},"size":1}', ("routing", "1"))
    assert one == shape(b'{"size":2,"query":{"match":{"a":"two words"}}}', ("routing", "2"))
    assert one != shape(b'{"query":{"match":{"b":"one"}},"size":1}', ("routing", "1"))
    assert one != shape(b'{"query":{"match":{"a":"one"}},"size":1}')
    assert shape(b"not json") == shape(b"neither")


def test_what_a_client_is_told_is_one_line_of_ascii_and_names_no_host() -> None:
    lines = dict(Told("skipped", "a\r\nSet-Cookie: x=1 é").headers())
    assert lines[b"x-rerank-reason"] == b"a??Set-Cookie: x=1 ?"
    assert b"redis-7" not in dict(Told("unavailable", "redis-7 refused").headers())[b"x-rerank-reason"]
    assert telling.request_id([(b"x-opaque-id", b"o"), (b"x-request-id", b"r")]) == "r"


def test_an_engines_address_is_read_with_port_prefix_and_credentials() -> None:
    url = NodeUrl.parse("https://us%40er:p%3Aw@engine.example/es/")
    assert (url.authority, url.prefix, url.credentials) == (b"engine.example:443", b"/es", b"Basic dXNAZXI6cDp3")
    assert NodeUrl.parse("http://[::1]:9201").authority == b"[::1]:9201"
