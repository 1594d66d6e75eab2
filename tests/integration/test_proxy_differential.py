"""The same requests to the engine directly and through the proxy: with reranking off, the same answers.

What may differ, and nothing else:
  body     `took`, and ids of scrolls, indices and shards' contexts, which no two requests share (`_VOLATILE`)
  headers  how the body is framed on each connection, and `x-rerank-*`, with which the proxy tells what it did
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from connector.embedded.engine import RunningEngine
from connector.embedded.valkey import RunningValkey
from tests.fixtures import proxies, requests
from tests.fixtures.requests import Drawn, Sent
from tests.fixtures.scripted import ScriptedWorker

REQUESTS = 1_100
_VOLATILE = re.compile(
    rb'"took" ?: ?\d+|took: \d+|"index_uuid" ?: ?"[^"]*"|index_uuid: "[^"]*"|"stack_trace" ?: ?"[^"]*"|stack_trace: .*'
)
_FRAMING = {"content-length", "transfer-encoding", "connection"}


class Side:
    """One of the two ways to the engine, on one connection."""

    def __init__(self, url: str, index: str, written: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self._index, self._written = index, written

    def ask(self, sent: Sent) -> tuple[int, list[tuple[str, str]], bytes]:
        """Status, end-to-end headers and body, without what may differ."""
        headers = {"Content-Type": sent.content_type} if sent.body is not None else {}
        self._connection.request(
            sent.method, self._named(sent.path), self._body(sent), headers={**headers, **dict(sent.headers)}
        )
        response = self._connection.getresponse()
        body = response.read()
        #: What the proxy told of the last answer.
        self.told = response.getheader("x-rerank-status")
        kept = sorted(
            (name.lower(), self._same(value))
            for name, value in response.getheaders()
            if name.lower() not in _FRAMING and not name.lower().startswith("x-rerank-")
        )
        if response.getheader("content-encoding") == "gzip" and body:
            body = gzip.decompress(body)
        return response.status, kept, _VOLATILE.sub(b"", body.replace(self._written.encode() or b"\0", b"WRITTEN"))

    def close(self) -> None:
        self._connection.close()

    def _body(self, sent: Sent) -> bytes | None:
        if sent.body is None or dict(sent.headers).get("Content-Encoding"):
            return sent.body
        return sent.body.replace(b"{index}", self._index.encode())

    def _named(self, text: str) -> str:
        return text.replace("{index}", self._index).replace("{written}", self._written)

    def _same(self, text: str) -> str:
        return text.replace(self._written or "\0", "WRITTEN")


def call(url: str, method: str, path: str, body: object = None, content_type: str = "application/json") -> Any:
    """One request of the test's own, which has to succeed."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    connection.request(method, path, data, {"content-type": content_type} if data is not None else {})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    assert response.status < 300, answer
    return json.loads(answer) if answer else None


@pytest.fixture(scope="module", params=["elasticsearch", "opensearch"])
def engine(request: pytest.FixtureRequest) -> RunningEngine:
    running: RunningEngine = request.getfixturevalue(request.param)
    return running


@pytest.fixture(scope="module")
def index(engine: RunningEngine) -> Iterator[str]:
    name = f"diff{uuid.uuid4().hex[:6]}"
    settings = {"number_of_shards": 2, "number_of_replicas": 0}
    call(engine.url, "PUT", f"/{name}", {"settings": settings, "mappings": requests.MAPPINGS})
    lines = [
        f'{{"index":{{"_id":"{i}"}}}}\n{json.dumps(document)}\n' for i, document in enumerate(requests.documents(70))
    ]
    call(engine.url, "POST", f"/{name}/_bulk?refresh=true", "".join(lines).encode(), "application/x-ndjson")
    yield name
    call(engine.url, "DELETE", f"/{name}")


def test_with_reranking_off_every_answer_is_the_engines(engine: RunningEngine, index: str, tmp_path: Path) -> None:
    config = tmp_path / "rerank-bridge.toml"
    config.write_text('[[index]]\npattern = "*"\nmode = "off"\n')
    names = [f"{index}-{side}" for side in "ab"]
    for name in names:
        call(engine.url, "PUT", f"/{name}", {"settings": {"number_of_shards": 1, "number_of_replicas": 0}})
    with (
        proxies.serve(engine.url, arguments=("--config", str(config))) as proxy,
        contextlib.closing(Side(engine.url, index, names[0])) as direct,
        contextlib.closing(Side(proxy.url, index, names[1])) as through,
    ):
        for sent in Drawn(7).everything(REQUESTS):
            assert through.ask(sent) == direct.ask(sent), sent
    for name in names:
        call(engine.url, "DELETE", f"/{name}")


WINDOW = 20


def test_with_reranking_on_the_hits_change_their_order_and_nothing_else_changes(
    engine: RunningEngine, index: str, valkey: RunningValkey, tmp_path: Path
) -> None:
    alias = f"model-{index}-{engine.name}"
    config = tmp_path / "rerank-bridge.toml"
    config.write_text(f'[[index]]\npattern = "*"\nmodel = "{alias}"\nwindow = {WINDOW}\ndeadline = 30\n')
    applied = moved = 0
    with (
        ScriptedWorker(valkey.url, alias),
        proxies.serve(
            engine.url, arguments=("--config", str(config)), environment={"RERANK_BRIDGE_BROKER_URL": valkey.url}
        ) as proxy,
        contextlib.closing(Side(engine.url, index, "")) as direct,
        contextlib.closing(Side(proxy.url, index, "")) as through,
    ):
        drawn = Drawn(11)
        for sent in (drawn.search() for _ in range(400)):
            status, _, body = through.ask(sent)
            assert (status, through.told) != (500, "error"), sent
            wanted = direct.ask(sent)
            if through.told != "applied":
                assert (status, body) == (wanted[0], wanted[2]), (sent, through.told)
                continue
            applied += 1
            moved += _check_reranked(direct, sent, body, wanted[2])
    assert applied > 100
    assert moved > 20


def _check_reranked(direct: Side, sent: Sent, body: bytes, wanted: bytes) -> bool:
    """Compares a reranked page with the engine's; whether the order is another."""
    ours, theirs = _read(body), _read(wanted)
    page, own = ours["hits"].pop("hits"), theirs["hits"].pop("hits")
    assert ours == theirs, sent
    assert [hit.get("_score") for hit in page] == [hit.get("_score") for hit in own], sent
    asked = json.loads(_plain(sent))
    first, size = asked.get("from", 0), asked.get("size", 10)
    whole = json.dumps({**asked, "from": 0, "size": max(WINDOW, first + size)}).encode()
    path = sent.path.replace("size=7", "").replace("from=3", "")
    everything = _read(direct.ask(Sent("POST", path, whole))[2])["hits"]["hits"]
    known = {_key(hit): _content(hit) for hit in everything[:WINDOW]}
    if "from=3" in sent.path:
        first = 3
    for place, hit in enumerate(page, first):
        if place < WINDOW:
            assert _content(hit) == known.pop(_key(hit)), sent
        else:
            assert hit == own[place - first], sent
    return [_key(hit) for hit in page] != [_key(hit) for hit in own]


def _read(body: bytes) -> Any:
    # `took` is cut out of the body, and a comma is left where it was.
    return json.loads(re.sub(rb"^\{,", b"{", body).replace(b",,", b","))


def _plain(sent: Sent) -> bytes:
    assert sent.body is not None
    return gzip.decompress(sent.body) if dict(sent.headers).get("Content-Encoding") else sent.body


def _key(hit: dict[str, Any]) -> tuple[str, str]:
    return hit.get("_index", ""), hit["_id"]


def _content(hit: dict[str, Any]) -> dict[str, Any]:
    """All of a hit but its place in the order and what explains that."""
    return {name: value for name, value in hit.items() if name not in ("_score", "_explanation", "sort")}
