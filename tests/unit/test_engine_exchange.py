"""Our side of the conversation with an engine, against small local HTTP servers that demand what real sites demand."""

from __future__ import annotations

import base64
import json
import logging
import shlex
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from aiohttp import web

from connector import engines
from connector.contract import errors
from tests.fixtures.http_server import Handler, serving

ABOUT = {
    "elasticsearch": {"version": {"number": "9.5.3", "build_flavor": "default"}, "tagline": "You Know, for Search"},
    "elasticsearch8": {"version": {"number": "8.19.4"}, "tagline": "You Know, for Search"},
    "elasticsearch7": {"version": {"number": "7.17.28"}, "tagline": "You Know, for Search"},
    "opensearch": {"version": {"number": "3.5.0", "distribution": "opensearch"}, "tagline": "The OpenSearch Project"},
}


def engine_like(about: str, seen: list[web.BaseRequest], *, authorization: str | None = None) -> Handler:
    """Answers `GET /` as `about` does and everything else with an odd response; keeps what it saw."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        seen.append(request)
        if authorization is not None and request.headers.get("authorization") != authorization:
            reason = {"error": {"type": "security_exception", "reason": "unable to authenticate"}, "status": 401}
            return web.json_response(reason, status=401)
        if request.path == "/" or request.path == "/prefix/":
            return web.json_response(ABOUT[about])
        response = web.Response(status=418, body=b'{"x": 1.10, "y": "\xff"}', content_type="application/odd")
        response.headers.add("Warning", '299 - "first"')
        response.headers.add("Warning", '299 - "second"')
        return response

    return handle


@pytest.mark.parametrize("about", ["elasticsearch", "opensearch"])
async def test_status_every_header_and_the_bytes_of_the_body_are_handed_over(about: str) -> None:
    seen: list[web.BaseRequest] = []
    async with serving(engine_like(about, seen)) as port:
        engine = await engines.connect(f"http://127.0.0.1:{port}/prefix/")
        try:
            response = await engine.request("GET", "/a%20b/_doc/1", params=[("q", "a b&c"), ("q", "ä")])
        finally:
            await engine.close()
    assert engine.name == about
    assert response.status == 418
    assert response.body == b'{"x": 1.10, "y": "\xff"}'
    assert [value for name, value in response.headers if name == "Warning"] == ['299 - "first"', '299 - "second"']
    assert seen[-1].raw_path == "/prefix/a%20b/_doc/1?q=a%20b%26c&q=%C3%A4"
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("about", "accept", "bulk"),
    [
        (
            "elasticsearch",
            "application/vnd.elasticsearch+json;compatible-with=9",
            "application/vnd.elasticsearch+x-ndjson;compatible-with=9",
        ),
        (
            "elasticsearch8",
            "application/vnd.elasticsearch+json;compatible-with=8",
            "application/vnd.elasticsearch+x-ndjson;compatible-with=8",
        ),
        ("elasticsearch7", "application/json", "application/x-ndjson"),
        ("opensearch", "application/json", "application/x-ndjson"),
    ],
)
async def test_media_types_are_those_of_the_servers_own_version(about: str, accept: str, bulk: str) -> None:
    seen: list[web.BaseRequest] = []
    async with serving(engine_like(about, seen)) as port:
        engine = await engines.connect(f"http://127.0.0.1:{port}")
        try:
            await engine.request("POST", "/_bulk", body=b"{}\n", content_type="application/x-ndjson")
            await engine.request("POST", "/_search", body=b"{}", headers={"Accept": "application/json"})
        finally:
            await engine.close()
    first, bulked, chosen = seen
    assert first.headers["accept"] == "application/json"
    assert (bulked.headers["accept"], bulked.headers["content-type"]) == (accept, bulk)
    assert chosen.headers.getall("accept") == ["application/json"]


async def test_a_search_that_is_refused_tells_the_engines_own_reason_and_is_sent_once() -> None:
    searches = 0

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal searches
        if request.path == "/":
            return web.json_response(ABOUT["opensearch"])
        searches += 1
        causes = [{"type": "query_shard_exception", "reason": "No mapping\nfor [x]"}]
        error = {"root_cause": causes, "type": "search_phase_execution_exception", "reason": "all shards failed"}
        return web.json_response({"error": error, "status": 503}, status=503)

    async with serving(handle) as port:
        engine = await engines.connect(f"http://127.0.0.1:{port}")
        try:
            with pytest.raises(errors.EngineRefused) as refused:
                await engine.search("logs-*", b"{}")
        finally:
            await engine.close()
    assert refused.value.status == 503
    assert b"all shards failed" in refused.value.body
    assert "search of logs-*" in str(refused.value)
    assert "query_shard_exception: No mapping for [x]" in str(refused.value)
    assert searches == 1


async def test_index_expressions_arrive_as_they_were_written() -> None:
    seen: list[web.BaseRequest] = []
    async with serving(engine_like("opensearch", seen)) as port:
        engine = await engines.connect(f"http://127.0.0.1:{port}")
        try:
            for index in ("a,b-*,-c", "remote:x", "<logs-{now/d}>", ""):
                with pytest.raises(errors.EngineRefused):
                    await engine.search(index, b"{}")
        finally:
            await engine.close()
    paths = [request.raw_path for request in seen[1:]]
    assert paths == ["/a,b-*,-c/_search", "/remote:x/_search", "/%3Clogs-%7Bnow%2Fd%7D%3E/_search", "/_search"]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def test_user_and_password_of_the_address_let_us_in() -> None:
    handler = engine_like("elasticsearch", [], authorization=basic("us:er", "p@ss/wörd"))
    async with serving(handler) as port:
        engine = await engines.connect(f"http://us%3Aer:p%40ss%2Fw%C3%B6rd@127.0.0.1:{port}")
        try:
            response = await engine.request("GET", "/x")
        finally:
            await engine.close()
    assert response.status == 418
    assert "p@ss" not in f"{engine!r} {engine.url} {vars(engine)}"


async def test_an_api_key_goes_before_the_user_of_the_address() -> None:
    async with serving(engine_like("opensearch", [], authorization="ApiKey a2V5OnNlY3JldA==")) as port:
        engine = await engines.connect(f"http://u:p@127.0.0.1:{port}", api_key="a2V5OnNlY3JldA==")
        await engine.close()
    assert engine.name == "opensearch"


@pytest.mark.parametrize(
    ("credentials", "says"),
    [("", "it wants credentials"), ("elastic:hunter2@", "the user, password or API key is wrong")],
)
async def test_wrong_or_missing_credentials_are_a_refusal_that_says_which(
    credentials: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(engine_like("elasticsearch", [], authorization=basic("elastic", "right"))) as port:
        with pytest.raises(errors.EngineRefused) as refused:
            await engines.connect(f"http://{credentials}127.0.0.1:{port}")
    assert refused.value.status == 401
    assert says in str(refused.value)
    assert "unable to authenticate" in str(refused.value)
    assert "hunter2" not in str(refused.value) + caplog.text
    assert basic("elastic", "hunter2") not in caplog.text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_an_engine_that_is_not_there_is_unavailable_not_a_refusal() -> None:
    with pytest.raises(errors.EngineUnavailable) as unavailable:
        await engines.connect(f"http://elastic:hunter2@127.0.0.1:{free_port()}")
    assert "is the engine running there?" in str(unavailable.value)
    assert "hunter2" not in str(unavailable.value)


@pytest.mark.parametrize("about", ["elasticsearch", "opensearch"])
async def test_an_engine_that_hangs_up_is_unavailable(about: str) -> None:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/":
            return web.json_response(ABOUT[about])
        request.transport.abort()  # type: ignore[union-attr]  # an open request has its transport
        return web.Response()

    async with serving(handle) as port:
        engine = await engines.connect(f"http://127.0.0.1:{port}")
        with pytest.raises(errors.EngineUnavailable, match="broke the connection off"):
            await engine.search("x", b"{}")
        await engine.close()


async def test_an_engine_that_keeps_silent_is_unavailable_after_the_time_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = engines.address.Address.parse(f"http://127.0.0.1:{silent.getsockname()[1]}")
        async with engines.http.session(None) as session:
            with pytest.raises(errors.EngineUnavailable, match=r"did not answer within 0\.05 s"):
                await engines.http.exchange(session, address, "GET", "/", headers={}, timeout=0.05)


@pytest.mark.parametrize(
    "body", ["<html>hello</html>", "{}", "[]", '{"version": {"number": "soon"}}', '{"version": "1"}']
)
async def test_a_server_that_is_no_engine_is_told_as_such(body: str) -> None:
    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=body)

    async with serving(handle) as port:
        with pytest.raises(errors.EngineRefused, match="is neither Elasticsearch nor OpenSearch"):
            await engines.connect(f"http://127.0.0.1:{port}")


def about(number: str, **more: object) -> engines.EngineResponse:
    version = {"number": number, **more}
    return engines.EngineResponse(status=200, headers=(), body=json.dumps({"version": version, **more}).encode())


def test_versions_are_read_from_what_the_server_reports() -> None:
    address = engines.address.Address.parse("http://h:1")
    identify = engines.connecting.identify
    assert identify(address, about("9.5.3")) == ("elasticsearch", (9, 5, 3))
    assert identify(address, about("8.19.0-SNAPSHOT")) == ("elasticsearch", (8, 19, 0))
    assert identify(address, about("2.19.1", distribution="opensearch")) == ("opensearch", (2, 19, 1))
    assert identify(address, about("1.3.20", distribution="opensearch")) == ("opensearch", (1, 3, 20))
    hidden = about("7.10.2", tagline="The OpenSearch Project: https://opensearch.org/")
    assert identify(address, hidden) == ("opensearch", (1, 3))
    with pytest.raises(errors.EngineRefused, match=r"elasticsearch 6\.8\.23: 7\.17 is the oldest"):
        identify(address, about("6.8.23"))


@pytest.mark.parametrize(
    "url",
    [
        "http://u:hunter2@h:port",
        "ftp://u:hunter2@h",
        "u:hunter2@h:9200",
        "https://u:hunter2#x@h",
        "http://[u:hunter2@h",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(errors.ConfigurationError) as refused:
        engines.address.Address.parse(url)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert "https://user:password@host:9200" in str(refused.value)


def test_an_address_is_shown_without_its_credentials() -> None:
    parsed = engines.address.Address.parse("https://elastic:hunter2@[::1]:9200/es/")
    assert parsed.url == "https://[::1]:9200/es"
    assert "hunter2" not in repr(parsed)
    assert parsed.authorization is not None
    assert parsed.authorization not in repr(parsed)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "ca.pem", folder / "key.pem"
    subprocess.run(
        shlex.split(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test "
            f"-addext subjectAltName=IP:127.0.0.1 -keyout '{key}' -out '{certificate}'"
        ),
        check=True,
        capture_output=True,
    )
    return certificate, key


@pytest.fixture
def tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.mark.parametrize("about", ["elasticsearch", "opensearch"])
async def test_tls_holds_with_the_ca_file_and_only_with_it(
    about: str, tls: ssl.SSLContext, certificate: tuple[Path, Path]
) -> None:
    async with serving(engine_like(about, []), tls) as port:
        engine = await engines.connect(f"https://127.0.0.1:{port}", ca_file=certificate[0])
        try:
            response = await engine.request("GET", "/x")
        finally:
            await engine.close()
        assert response.status == 418
        with pytest.raises(errors.EngineUnavailable, match="certificate is not trusted"):
            await engines.connect(f"https://127.0.0.1:{port}")
        with pytest.raises(errors.EngineUnavailable):
            await engines.connect(f"http://127.0.0.1:{port}")
    async with serving(engine_like(about, [])) as port:
        with pytest.raises(errors.EngineUnavailable, match="is it http:// there"):
            await engines.connect(f"https://127.0.0.1:{port}", ca_file=certificate[0])


async def test_a_ca_file_without_a_certificate_is_a_configuration_error(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("nothing")
    with pytest.raises(errors.ConfigurationError, match="a PEM file is needed"):
        await engines.connect("https://127.0.0.1:9", ca_file=empty)
