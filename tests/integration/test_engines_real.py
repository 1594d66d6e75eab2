"""Both adapters against the real engines: searches as bytes, refusals, kNN, index templates."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator

import pytest

import mappings
from connector import engines, templates
from connector.contract import errors
from connector.embedded.engine import RunningEngine
from connector.engines.base import Engine


@pytest.fixture(params=["elasticsearch", "opensearch"])
def running(request: pytest.FixtureRequest) -> RunningEngine:
    """Each of the two engines in turn."""
    server: RunningEngine = request.getfixturevalue(request.param)
    return server


@pytest.fixture
async def engine(running: RunningEngine) -> AsyncIterator[Engine]:
    """Connected."""
    connected = await engines.connect(running.url)
    yield connected
    await connected.close()


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


async def put(engine: Engine, path: str, body: object) -> None:
    response = await engine.request("PUT", path, body=json.dumps(body).encode())
    assert response.status in (200, 201), response.body


async def test_the_engine_says_what_it_is(engine: Engine, running: RunningEngine) -> None:
    assert engine.name == running.name
    assert ".".join(map(str, engine.version)) == running.version


async def test_a_search_answers_with_the_bytes_and_headers_of_the_engine(engine: Engine, name: str) -> None:
    await put(engine, f"/{name}", {"mappings": {"properties": {"odd": {"type": "object", "enabled": False}}}})
    source = b'{"text":"blue whale","odd":{"n":1.10,"long":12345678901234567890123}}'
    stored = await engine.request("PUT", f"/{name}/_doc/1", body=source, params=[("refresh", "true")])
    assert stored.status == 201, stored.body
    response = await engine.search(name, b'{"query":{"match":{"text":"whale"}}}')
    assert b'"n":1.10,"long":12345678901234567890123' in response.body
    names = {header.lower() for header, _ in response.headers}
    assert "content-type" in names
    assert ("x-elastic-product" in names) == (engine.name == "elasticsearch")
    assert not names & {"content-length", "transfer-encoding", "content-encoding"}


async def test_an_unknown_index_is_a_refusal_with_the_engines_reason(engine: Engine, name: str) -> None:
    with pytest.raises(
        errors.EngineRefused, match=f"404, index_not_found_exception: no such index .{name}."
    ) as refused:
        await engine.search(name, b'{"query":{"match_all":{}}}')
    assert refused.value.status == 404
    assert json.loads(refused.value.body)["status"] == 404


async def test_a_broken_query_is_a_refusal_and_the_root_cause_is_told(engine: Engine, name: str) -> None:
    await put(engine, f"/{name}", {})
    with pytest.raises(errors.EngineRefused, match=r"400, .*no_such_query"):
        await engine.search(name, b'{"query":{"no_such_query":{}}}')


async def test_parameters_and_index_patterns_arrive(engine: Engine, name: str) -> None:
    for suffix in ("a", "b"):
        await put(engine, f"/{name}-{suffix}/_doc/1?refresh=true", {"text": "x"})
    both = await engine.search(f"{name}-*", b"{}", [("filter_path", "hits.total.value")])
    assert both.body == b'{"hits":{"total":{"value":2}}}'
    one = await engine.search(f"{name}-*,-{name}-b", b"{}", [("filter_path", "hits.total.value")])
    assert one.body == b'{"hits":{"total":{"value":1}}}'


def unit(angle: int, dimensions: int) -> list[float]:
    """One of `dimensions` axes."""
    return [1.0 if i == angle else 0.0 for i in range(dimensions)]


async def test_an_index_of_the_installed_template_is_searched_by_words_and_by_vectors(
    engine: Engine, name: str
) -> None:
    dimensions = 8
    template = mappings.load(engine.name, engine.version, dimensions=dimensions, patterns=[f"{name}-*"])
    assert await templates.install(engine, name, template)
    documents: dict[str, dict[str, object]] = {
        "cats": {
            "title": "Feeding cats",
            "text": "Cats are fed twice a day.",
            "popularity": 3,
            "tags": ["pet", "food"],
        },
        "dogs": {"title": "Walking dogs", "text": "Dogs walk daily.", "date": "2026-11-20", "url": "https://a.example"},
    }
    for axis, (id_, document) in enumerate(documents.items()):
        await put(engine, f"/{name}-1/_doc/{id_}", document | {"vector": unit(axis, dimensions)})
    await engine.request("POST", f"/{name}-1/_refresh")

    def ids(response: engines.EngineResponse) -> list[str]:
        return [hit["_id"] for hit in json.loads(response.body)["hits"]["hits"]]

    # "feed" and "walked" match by their English stems only.
    assert ids(await engine.search(f"{name}-1", b'{"query":{"match":{"title":"feed"}}}')) == ["cats"]
    assert ids(await engine.search(f"{name}-1", b'{"query":{"match":{"text":"walked"}}}')) == ["dogs"]
    body = engine.knn_body("vector", unit(1, dimensions), k=2, size=2, source={"excludes": ["vector"]})
    found = await engine.search(f"{name}-1", json.dumps(body).encode())
    assert ids(found) == ["dogs", "cats"]
    assert all("vector" not in hit["_source"] for hit in json.loads(found.body)["hits"]["hits"])
    one = engine.knn_body("vector", unit(0, dimensions), k=2, size=1)
    assert ids(await engine.search(f"{name}-1", json.dumps(one).encode())) == ["cats"]


async def test_a_template_of_ours_is_unchanged_after_install_and_shows_what_was_changed(
    engine: Engine, name: str
) -> None:
    ours = mappings.load(engine.name, engine.version, patterns=[f"{name}-*"])
    assert await templates.fetch(engine, name) is None
    assert await templates.install(engine, name, ours)
    present = await templates.fetch(engine, name)
    assert present is not None
    assert templates.differences(present, ours) == []
    assert not await templates.install(engine, name, ours)
    changed = json.loads(json.dumps(ours))
    changed["template"]["mappings"]["properties"]["title"]["analyzer"] = "standard"
    changed["template"]["mappings"]["properties"]["extra"] = {"type": "keyword"}
    changed["template"].setdefault("settings", {})["number_of_replicas"] = 0
    await put(engine, f"/_index_template/{name}", changed)
    present = await templates.fetch(engine, name)
    assert present is not None
    found = {d.path: (d.engine, d.ours) for d in templates.differences(present, ours)}
    assert found == {
        "template.mappings.properties.title.analyzer": ('"standard"', '"english"'),
        "template.mappings.properties.extra.type": ('"keyword"', None),
        "template.settings.index.number_of_replicas": ("0", None),
    }
    assert await templates.install(engine, name, ours)


async def test_somebody_elses_template_is_replaced_only_by_force(engine: Engine, name: str) -> None:
    await put(engine, f"/_index_template/{name}", {"index_patterns": [f"{name}-*"], "priority": 7})
    ours = mappings.load(engine.name, engine.version, patterns=[f"{name}-*"])
    with pytest.raises(errors.ConfigurationError, match="somebody else's"):
        await templates.install(engine, name, ours)
    assert await templates.install(engine, name, ours, force=True)


async def test_an_index_is_created_once_with_the_projects_mapping(engine: Engine, name: str) -> None:
    assert await templates.create_index(engine, name, dimensions=5)
    assert not await templates.create_index(engine, name, dimensions=5)
    answer = await engine.request("GET", f"/{name}/_mapping")
    vector = json.loads(answer.body)[name]["mappings"]["properties"]["vector"]
    assert vector["dims" if engine.name == "elasticsearch" else "dimension"] == 5
    with pytest.raises(errors.EngineRefused, match="invalid_index_name"):
        await templates.create_index(engine, name.upper())
