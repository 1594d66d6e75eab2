"""Bulk loading into both real engines, and against a local server for what those never do: answer 429, break off."""

from __future__ import annotations

import io
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Sequence

import pytest
from aiohttp import web

from connector import engines, indexing, templates
from connector.contract import errors, names
from connector.embedded.engine import RunningEngine
from connector.engines.base import Engine
from connector.indexing import Backoff, Embedding, Shape, lines
from tests.fixtures.http_server import serving

QUICK = Backoff(attempts=4, first=0.001, longest=0.001)


@pytest.fixture(params=["elasticsearch", "opensearch"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """Each of the two engines in turn, connected."""
    running: RunningEngine = request.getfixturevalue(request.param)
    connected = await engines.connect(running.url)
    yield connected
    await connected.close()


@pytest.fixture
def name() -> str:
    """An index that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


async def sources(engine: Engine, index: str) -> dict[str, dict[str, object]]:
    await indexing.refresh(engine, index)
    response = await engine.search(index, b'{"size":1000}')
    return {hit["_id"]: hit["_source"] for hit in json.loads(response.body)["hits"]["hits"]}


def read(*rows: object) -> itertools.chain[indexing.Document | indexing.Bad]:
    data = b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)
    return itertools.chain(lines.read(io.BytesIO(data), Shape()))


async def test_rows_are_indexed_found_by_their_stems_and_indexing_again_changes_nothing(
    engine: Engine, name: str
) -> None:
    rows = [{"_id": f"d{i}", "title": f"Title {i}", "text": "parsing dates", "n": i} for i in range(1200)]
    for _ in range(2):
        loaded = await indexing.index(engine, rows, index=name)
        assert loaded.documents == 1200
    found = await engine.search(name, b'{"query":{"match":{"text":"parse date"}},"track_total_hits":true,"size":1}')
    assert json.loads(found.body)["hits"]["total"]["value"] == 1200


async def test_one_refused_document_is_told_with_its_line_and_the_rest_is_indexed(engine: Engine, name: str) -> None:
    await templates.create_index(engine, name)
    items = read({"_id": "1", "text": "a"}, {"_id": "2", "date": "yesterday"}, b"", {"_id": "3", "text": "c"})
    loaded = await indexing.load(engine, name, items)
    assert (loaded.documents, loaded.refused) == (2, 1)
    (failure,) = loaded.failures
    assert (failure.line, failure.id) == (2, "2")
    assert "failed to parse field [date]" in failure.reason
    assert (await sources(engine, name)).keys() == {"1", "3"}


async def test_a_bad_line_ends_the_load_after_everything_before_it(engine: Engine, name: str) -> None:
    await templates.create_index(engine, name)
    rows = [{"_id": "1"}, {"_id": "2"}, b"broken", {"_id": "3"}]
    loaded = await indexing.load(engine, name, read(*rows), batch=1)
    assert loaded.stopped_at is not None
    assert loaded.stopped_at.line == 3
    assert loaded.line == 2
    assert (await sources(engine, name)).keys() == {"1", "2"}
    loaded = await indexing.load(engine, name, read(*rows), skip_bad=True)
    assert loaded.stopped_at is None
    assert (loaded.documents, loaded.skipped, loaded.bad[0].line) == (3, 1, 3)
    assert (await sources(engine, name)).keys() == {"1", "2", "3"}


async def test_a_document_of_ten_megabytes_is_indexed_and_found(engine: Engine, name: str) -> None:
    text = "lorem ipsum " * 870_000 + "needle"
    assert len(text) > 10_000_000
    loaded = await indexing.index(engine, [{"_id": "s", "text": "x"}, {"_id": "big", "text": text}], index=name)
    assert loaded.documents == 2
    body = b'{"query":{"match":{"text":"needle"}},"_source":false}'
    found = json.loads((await engine.search(name, body)).body)["hits"]["hits"]
    assert [hit["_id"] for hit in found] == ["big"]


async def test_surrogates_and_control_characters_are_stored_clean(engine: Engine, name: str) -> None:
    line = b'{"_id":"1","text":"a\\ud800b\x01c \\ud83d\\ude00 \\u0000"}'
    await templates.create_index(engine, name)
    assert (await indexing.load(engine, name, read(line))).documents == 1
    assert (await sources(engine, name))["1"]["text"] == "a\ufffdb c 😀 \x00"


class Axes:
    """Embeds a text on the axis that it names: `axis 2` is (0, 0, 1, 0)."""

    def __init__(self) -> None:
        self.lanes: set[str] = set()
        self.sheds = 1

    async def embed(
        self, texts: Sequence[str], *, deadline: float, model: str = "embed", lane: names.Lane = names.INTERACTIVE
    ) -> list[list[float]]:
        self.lanes.add(lane)
        if self.sheds:
            self.sheds -= 1
            raise errors.Shed
        return [[1.0 if i == int(text.split()[-1]) else 0.0 for i in range(4)] for text in texts]


async def test_vectors_come_from_the_embedder_and_are_searched(engine: Engine, name: str) -> None:
    axes = Axes()
    await templates.create_index(engine, name, dimensions=4)
    assert await templates.vector_dimensions(engine, name, "vector") == 4
    assert await templates.vector_dimensions(engine, name, "title") is None
    rows = [{"_id": str(i), "text": f"axis {i % 4}"} for i in range(100)] + [{"_id": "silent"}]
    loaded = await indexing.load(
        engine, name, read(*rows), embedding=Embedding(embedder=axes, field="vector"), backoff=QUICK
    )
    assert loaded.error is None
    assert loaded.documents == 101
    assert axes.lanes == {names.BATCH}
    await indexing.refresh(engine, name)
    body = engine.knn_body("vector", [0, 0, 1, 0], k=25, size=25, source=["text"])
    hits = json.loads((await engine.search(name, json.dumps(body).encode())).body)["hits"]["hits"]
    assert {hit["_source"]["text"] for hit in hits} == {"axis 2"}


class Scripted:
    """Answers `_bulk` as the test says, and keeps what was sent."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.sent: list[list[str]] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/":
            return web.json_response({"version": {"number": "3.5.0", "distribution": "opensearch"}})
        data = (await request.read()).splitlines()
        ids = [json.loads(line)["index"]["_id"] for line in data[::2]]
        self.sent.append(ids)
        answer = self.answers.pop(0) if self.answers else 200
        if answer == "hang up":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(answer, int) and answer != 200:
            return web.json_response({"error": {"type": "busy", "reason": f"{answer}"}}, status=answer)
        refused = answer if isinstance(answer, dict) else {}
        items = [{"index": {"_id": id_, "status": 201} | refused.get(id_, {})} for id_ in ids]
        return web.json_response({"errors": bool(refused), "items": items})


async def send(script: Scripted, *ids: str, backoff: Backoff = QUICK) -> indexing.Loaded:
    async with serving(script) as port:
        engine = await engines.connect(f"http://127.0.0.1:{port}")
        try:
            return await indexing.load(engine, "x", read(*({"_id": id_} for id_ in ids)), backoff=backoff)
        finally:
            await engine.close()


BUSY = {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "queue full"}}
REFUSED = {"status": 400, "error": {"type": "mapper_parsing_exception", "reason": "no"}}


async def test_documents_that_are_too_much_for_now_are_sent_again_and_only_those() -> None:
    script = Scripted({"b": BUSY, "c": REFUSED}, {"b": BUSY})
    loaded = await send(script, "a", "b", "c")
    assert script.sent == [["a", "b", "c"], ["b"], ["b"]]
    assert (loaded.documents, [failure.id for failure in loaded.failures]) == (2, ["c"])


async def test_a_busy_or_vanished_engine_is_tried_again() -> None:
    script = Scripted(429, "hang up", 503)
    loaded = await send(script, "a")
    assert script.sent == [["a"]] * 4
    assert (loaded.documents, loaded.error) == (1, None)


async def test_an_engine_that_stays_busy_ends_the_load_with_its_reason() -> None:
    loaded = await send(Scripted(429, 429, 429, 429), "a")
    assert isinstance(loaded.error, errors.EngineRefused)
    assert "429, busy: 429" in str(loaded.error)
    loaded = await send(Scripted({"a": BUSY}, {"a": BUSY}, {"a": BUSY}, {"a": BUSY}), "a")
    assert loaded.failures[0].reason == "es_rejected_execution_exception: queue full"


async def test_a_refusal_of_the_whole_load_is_not_tried_again() -> None:
    script = Scripted(403)
    loaded = await send(script, "a", "b")
    assert isinstance(loaded.error, errors.EngineRefused)
    assert len(script.sent) == 1


@pytest.mark.parametrize("status", [400, 413])
async def test_a_request_that_is_refused_for_one_document_is_halved_until_it_stands_alone(status: int) -> None:
    script = Scripted(status, status, 200, status)
    loaded = await send(script, "a", "b", "c", "d")
    assert script.sent == [["a", "b", "c", "d"], ["a", "b"], ["a"], ["b"], ["c", "d"]]
    assert (loaded.documents, [failure.id for failure in loaded.failures]) == (3, ["b"])
