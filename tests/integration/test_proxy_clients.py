"""The official clients, unmodified, pointed at the proxy: they see an engine."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import elasticsearch as es
import elasticsearch.helpers
import opensearchpy as opensearch
import opensearchpy.helpers
import pytest

from connector.embedded.engine import RunningEngine
from connector.embedded.valkey import RunningValkey
from tests.fixtures import proxies
from tests.fixtures.proxies import RunningProxy
from tests.fixtures.scripted import ScriptedWorker

DOCUMENTS = [{"title": f"bridge {i}", "body": "bridge over the river " + "stone " * (i % 9)} for i in range(120)]
QUERY = {"match": {"body": "bridge river"}}


def _actions(index: str) -> list[dict[str, Any]]:
    return [{"_index": index, "_id": str(i), "_source": document} for i, document in enumerate(DOCUMENTS)]


def _is_reranked(hits: list[dict[str, Any]]) -> bool:
    """The scripted model prefers long documents."""
    lengths = [len(hit["_source"]["body"]) for hit in hits]
    return lengths == sorted(lengths, reverse=True) and lengths[0] > lengths[-1]


@pytest.fixture(scope="module", params=["elasticsearch", "opensearch"])
def proxied(
    request: pytest.FixtureRequest, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, RunningProxy]]:
    """The name of an engine, and a proxy in front of it with a worker that prefers long documents."""
    engine: RunningEngine = request.getfixturevalue(request.param)
    alias = f"clients-{uuid.uuid4().hex}"
    config = tmp_path_factory.mktemp("clients") / "rerank-bridge.toml"
    config.write_text(f'[[index]]\npattern = "*"\nmodel = "{alias}"\ndeadline = 30\nwindow = 120\n')
    with (
        ScriptedWorker(valkey.url, alias),
        proxies.serve(
            engine.url, arguments=("--config", str(config)), environment={"RERANK_BRIDGE_BROKER_URL": valkey.url}
        ) as proxy,
    ):
        yield request.param, proxy


@pytest.fixture
def index() -> str:
    return f"clients-{uuid.uuid4().hex}"


def _client(proxied: tuple[str, RunningProxy]) -> Any:
    name, proxy = proxied
    if name == "elasticsearch":
        return es.Elasticsearch(proxy.url, request_timeout=60)
    return opensearch.OpenSearch(proxy.url, timeout=60)


def _helpers(proxied: tuple[str, RunningProxy]) -> Any:
    return elasticsearch.helpers if proxied[0] == "elasticsearch" else opensearchpy.helpers


def test_the_synchronous_client_searches_pages_and_reads(proxied: tuple[str, RunningProxy], index: str) -> None:
    with _client(proxied) as client:
        _helpers(proxied).bulk(client, _actions(index), refresh=True)
        body = {"query": QUERY, "size": 30}
        first = (
            client.search(index=index, body=body) if proxied[0] == "opensearch" else client.search(index=index, **body)
        )
        assert first["hits"]["total"]["value"] == 120
        assert _is_reranked(first["hits"]["hits"])
        again = {**body, "from": 30} if proxied[0] == "opensearch" else {**body, "from_": 30}
        second = (
            client.search(index=index, body=again)
            if proxied[0] == "opensearch"
            else client.search(index=index, **again)
        )
        pages = [hit["_id"] for page in (first, second) for hit in page["hits"]["hits"]]
        assert len(set(pages)) == 60
        assert client.get(index=index, id="7")["_source"] == DOCUMENTS[7]
        assert client.indices.exists(index=index)
        assert not client.exists(index=index, id="nothing")
        client.indices.delete(index=index)


def test_the_helpers_of_the_client_load_and_read_everything(proxied: tuple[str, RunningProxy], index: str) -> None:
    helpers = _helpers(proxied)
    with _client(proxied) as client:
        done, errors = helpers.bulk(client, _actions(index), refresh=True, chunk_size=50)
        assert (done, errors) == (120, [])
        assert all(ok for ok, _ in helpers.streaming_bulk(client, _actions(index), chunk_size=50))
        assert all(ok for ok, _ in helpers.parallel_bulk(client, _actions(index), chunk_size=50))
        client.indices.refresh(index=index)
        scanned = list(helpers.scan(client, index=index, query={"query": QUERY}, size=25))
        assert sorted(int(hit["_id"]) for hit in scanned) == list(range(120))
        client.indices.delete(index=index)


def test_an_msearch_of_the_client_is_answered_item_by_item(proxied: tuple[str, RunningProxy], index: str) -> None:
    with _client(proxied) as client:
        _helpers(proxied).bulk(client, _actions(index), refresh=True)
        searches = [
            {"index": index}, {"query": QUERY, "size": 20},
            {}, {"query": {"match_all": {}}, "size": 1},
            {"index": "nowhere"}, {"query": QUERY},
        ]  # fmt: skip
        named = {"body": searches} if proxied[0] == "opensearch" else {"searches": searches}
        answers = client.msearch(index=index, **named)["responses"]
        assert [answer["status"] for answer in answers] == [200, 200, 404]
        assert _is_reranked(answers[0]["hits"]["hits"])
        client.indices.delete(index=index)


def test_the_errors_of_the_engine_reach_the_client_as_its_own_exceptions(
    proxied: tuple[str, RunningProxy], index: str
) -> None:
    missing = es.NotFoundError if proxied[0] == "elasticsearch" else opensearch.NotFoundError
    bad = es.BadRequestError if proxied[0] == "elasticsearch" else opensearch.RequestError
    with _client(proxied) as client:
        with pytest.raises(missing):
            client.search(index=index, body={"query": QUERY})
        with pytest.raises(bad):
            client.search(index="_all", body={"query": {"no_such_query": {}}})


async def test_the_asynchronous_client_and_its_helpers(proxied: tuple[str, RunningProxy], index: str) -> None:
    name, proxy = proxied
    helpers = _helpers(proxied)
    made: Any
    if name == "elasticsearch":
        made = es.AsyncElasticsearch(proxy.url, request_timeout=60)
    else:
        made = opensearch.AsyncOpenSearch(proxy.url, timeout=60)
    async with made as client:
        await helpers.async_bulk(client, _actions(index), refresh=True)
        answers = await asyncio.gather(
            *(client.search(index=index, body={"query": QUERY, "size": size}) for size in range(40, 56))
        )
        assert all(_is_reranked(answer["hits"]["hits"]) for answer in answers)
        scanned = [hit async for hit in helpers.async_scan(client, index=index, query={"query": QUERY}, size=25)]
        assert len(scanned) == 120
        await client.indices.delete(index=index)


def test_reindexing_by_helper_and_inside_the_engine(opensearch: RunningEngine, index: str) -> None:
    with proxies.serve(opensearch.url) as proxy, opensearchpy.OpenSearch(proxy.url, timeout=60) as client:
        opensearchpy.helpers.bulk(client, _actions(index), refresh=True)
        opensearchpy.helpers.reindex(client, index, f"{index}-one")
        client.indices.refresh(index=f"{index}-one")
        assert client.count(index=f"{index}-one")["count"] == 120
        answer = client.reindex(
            body={"source": {"index": index}, "dest": {"index": f"{index}-two"}}, params={"refresh": "true"}
        )
        assert answer["created"] == 120
        for name in (index, f"{index}-one", f"{index}-two"):
            client.indices.delete(index=name)
