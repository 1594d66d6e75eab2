"""Reranked searches from Python, on a real engine and a real broker."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import opensearchpy
import pytest

from connector.bridge import Bridge
from connector.contract.errors import ConfigurationError, EngineRefused, EngineUnavailable
from connector.embedded.engine import RunningEngine
from connector.embedded.valkey import RunningValkey
from connector.settings import Policy
from tests.fixtures.scripted import ScriptedWorker

BODY = {"query": {"match": {"body": "bridge"}}, "size": 5}


@pytest.fixture(scope="module")
def index(opensearch: RunningEngine) -> Iterator[str]:
    name = f"bridge-{uuid.uuid4().hex}"
    with opensearchpy.OpenSearch(opensearch.url, timeout=60) as client:
        for i in range(20):
            client.index(index=name, id=str(i), body={"body": "bridge " + "stone " * i})
        client.indices.refresh(index=name)
        yield name
        client.indices.delete(index=name)


@pytest.fixture(scope="module")
def bridge(opensearch: RunningEngine, valkey: RunningValkey) -> Iterator[Bridge]:
    """With a model that prefers long documents, where the engine prefers short ones."""
    alias = f"bridge-{uuid.uuid4().hex}"
    with (
        ScriptedWorker(valkey.url, alias),
        Bridge.from_url(
            opensearch.url, policy=Policy(model=alias), environment={"RERANK_BRIDGE_BROKER_URL": valkey.url}
        ) as made,
    ):
        yield made


def _ids(response: dict[str, object]) -> list[str]:
    return [hit["_id"] for hit in response["hits"]["hits"]]  # type: ignore[index]


def test_a_synchronous_program_gets_the_engines_response_reranked(bridge: Bridge, index: str) -> None:
    response = bridge.search_sync(index=index, body=BODY)
    assert response.status == "applied"
    assert _ids(response) == ["19", "18", "17", "16", "15"]
    assert response["hits"]["total"]["value"] == 20
    assert response.outcome.tasks == 1
    assert bridge.search_sync(index=index, body=BODY).outcome.cache_hits == 20


async def test_an_event_loop_awaits_the_same(bridge: Bridge, index: str) -> None:
    responses = await asyncio.gather(*(bridge.search(index=index, body={**BODY, "size": n}) for n in range(1, 6)))
    assert [_ids(response)[0] for response in responses] == ["19"] * 5


def test_many_threads_share_one_bridge(bridge: Bridge, index: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        futures = [threads.submit(bridge.search_sync, index=index, body=BODY) for _ in range(24)]
        assert {tuple(_ids(future.result())) for future in futures} == {("19", "18", "17", "16", "15")}


def test_a_search_may_change_its_policy_or_leave_reranking_out(bridge: Bridge, index: str) -> None:
    off = bridge.search_sync(index=index, body=BODY, rerank=False)
    assert (off.status, _ids(off)) == ("off", ["0", "1", "2", "3", "4"])
    small = bridge.search_sync(index=index, body=BODY, rerank={"window": 3, "scores": "engine"})
    assert _ids(small) == ["2", "1", "0", "3", "4"]
    with pytest.raises(ConfigurationError, match="unknown key 'windw'"):
        bridge.search_sync(index=index, body=BODY, rerank={"windw": 3})


def test_the_engines_refusal_is_an_error_with_its_reason(bridge: Bridge) -> None:
    with pytest.raises(EngineRefused, match="no such index"):
        bridge.search_sync(index="nowhere", body=BODY)


def test_an_engine_that_comes_late_is_connected_to_at_the_next_search() -> None:
    with Bridge.from_url("http://127.0.0.1:9", environment={}) as bridge:
        for _ in range(2):
            with pytest.raises(EngineUnavailable):
                bridge.search_sync(index="x", body=BODY)
